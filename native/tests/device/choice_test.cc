#include "device/choice.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace smddp {
namespace {

std::vector<GpuFacts> ranks_with_gpus(std::size_t world, GpuCollectives wanted) {
  std::vector<GpuFacts> facts(world);
  for (std::size_t rank = 0; rank < world; ++rank) {
    facts[rank].gpu.uuid[0] = facts[rank].gpu.pci_bus[0] = static_cast<char>('a' + rank);
    facts[rank].nccl_version = 23203;
    facts[rank].wanted = wanted;
  }
  return facts;
}

Result<GpuChoice> choose_on_one_host(const std::vector<GpuFacts>& facts,
                                     const std::vector<Rank>& labels = {}) {
  return choose(facts, Placement::one_host(static_cast<int>(facts.size())), labels);
}

GpuChoice chosen(const std::vector<GpuFacts>& facts) {
  const Result<GpuChoice> choice = choose_on_one_host(facts);
  REQUIRE_MESSAGE(choice.ok(), choice.status().message());
  return choice.value();
}

TEST_CASE("NCCL is taken where it serves all ranks, and never where it is not wanted") {
  for (const auto wanted :
       {GpuCollectives::kAuto, GpuCollectives::kNccl, GpuCollectives::kHierarchical}) {
    CHECK(chosen(ranks_with_gpus(3, wanted)).way == GpuCollectives::kNccl);
    CHECK(chosen(ranks_with_gpus(3, wanted)).why_not.empty());
  }
  const GpuChoice host = chosen(ranks_with_gpus(3, GpuCollectives::kHost));
  CHECK(host.way == GpuCollectives::kHost);
  CHECK(host.why_not.empty());
}

TEST_CASE("levels are for several hosts with as many ranks each") {
  const auto facts = ranks_with_gpus(4, GpuCollectives::kHierarchical);
  CHECK(choose(facts, Placement{{0, 0, 1, 1}}, {}).value().way == GpuCollectives::kHierarchical);
  CHECK(choose(facts, Placement{{0, 0, 0, 1}}, {}).status().message() ==
        "SMDDP_GPU_COLLECTIVES=hierarchical, but hosts have 3 and 1 ranks");
}

TEST_CASE("what stands in NCCL's way is said, with the ranks' numbers in the job") {
  const auto why = [](const std::vector<GpuFacts>& facts) {
    const GpuChoice choice = choose_on_one_host(facts, {10, 11, 12}).value();
    return choice.way == GpuCollectives::kHost ? choice.why_not : "";
  };
  auto facts = ranks_with_gpus(3, GpuCollectives::kAuto);
  facts[2].nccl_version = 0;
  const std::string and_no_kernels = ", and rank 10 has no kernels for GPUs";
  CHECK(why(facts) == "rank 12 has no NCCL" + and_no_kernels);
  facts[2].nccl_version = 22705;
  CHECK(why(facts) == "rank 10 has NCCL 2.32.3 and rank 12 2.27.5" + and_no_kernels);
  facts = ranks_with_gpus(3, GpuCollectives::kAuto);
  facts[2].gpu.uuid = facts[1].gpu.uuid;
  CHECK(why(facts) == "rank 11 and rank 12 share a GPU" + and_no_kernels);
}

TEST_CASE("parts of one GPU count as one, on one machine") {
  auto facts = ranks_with_gpus(2, GpuCollectives::kAuto);
  facts[1].gpu.pci_bus = facts[0].gpu.pci_bus;
  CHECK(chosen(facts).why_not.starts_with("rank 0 and rank 1 share a GPU"));
  facts[1].machine = 7;
  CHECK(chosen(facts).way == GpuCollectives::kNccl);
}

TEST_CASE("ranks may share a GPU where NCCL is new enough and told to serve them") {
  auto facts = ranks_with_gpus(2, GpuCollectives::kAuto);
  facts[1].gpu.uuid = facts[0].gpu.uuid;
  facts[0].shares_gpus = facts[1].shares_gpus = true;
  CHECK(chosen(facts).way == GpuCollectives::kNccl);
  facts[0].nccl_version = facts[1].nccl_version = 22705;
  CHECK(chosen(facts).way == GpuCollectives::kHost);
}

TEST_CASE("our kernels serve the ranks of a host, and those of several hosts inside") {
  auto facts = ranks_with_gpus(4, GpuCollectives::kAuto);
  for (GpuFacts& fact : facts) {
    fact.kernels_version = 1;
    fact.process = static_cast<std::uint64_t>(&fact - facts.data());
    fact.gpu.uuid = facts[0].gpu.uuid;
  }
  CHECK(chosen(facts).way == GpuCollectives::kIpc);
  CHECK(chosen(facts).inside == GpuCollectives::kIpc);
  const GpuChoice levels = choose(facts, Placement{{0, 0, 1, 1}}, {}).value();
  CHECK(levels.way == GpuCollectives::kHierarchical);
  CHECK(levels.inside == GpuCollectives::kIpc);
  for (const Placement& placement : {Placement{{0, 0, 0, 1}}, Placement{{0, 1, 2, 3}}}) {
    const GpuChoice host = choose(facts, placement, {}).value();
    CHECK(host.way == GpuCollectives::kHost);
    CHECK(host.why_not == "rank 0 and rank 1 share a GPU, and there are several hosts");
  }
  facts[3].gpu.uuid[0] = 'x';
  facts[3].process = facts[2].process;
  CHECK(chosen(facts).why_not.ends_with("rank 2 and rank 3 are one process with several GPUs"));
  facts[3].kernels_version = 2;
  CHECK(chosen(facts).why_not.ends_with("rank 0 and rank 3 have different versions of smddp"));
  for (GpuFacts& fact : facts) fact.wanted = GpuCollectives::kIpc;
  CHECK(choose_on_one_host(facts).status().message() ==
        "SMDDP_GPU_COLLECTIVES=ipc, but rank 0 and rank 3 have different versions of smddp");
}

TEST_CASE("wanting NCCL where it cannot be, or different things, is an error") {
  auto facts = ranks_with_gpus(2, GpuCollectives::kNccl);
  facts[1].nccl_version = 0;
  CHECK(choose_on_one_host(facts).status().code() == StatusCode::kConfig);
  CHECK(choose_on_one_host(facts).status().message() ==
        "SMDDP_GPU_COLLECTIVES=nccl, but rank 1 has no NCCL");
  facts = ranks_with_gpus(2, GpuCollectives::kAuto);
  facts[1].wanted = GpuCollectives::kHost;
  CHECK(choose_on_one_host(facts).status().message().find("rank 0 and rank 1") !=
        std::string::npos);
}

TEST_CASE("facts survive their journey") {
  GpuFacts facts{.machine = 0x123456789abcdef,
                 .process = 0xfedcba9876543210,
                 .nccl_version = 23203,
                 .kernels_version = 7,
                 .wanted = GpuCollectives::kHost,
                 .shares_gpus = true};
  facts.gpu.uuid = {'0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'};
  facts.gpu.pci_bus = {'0', '0', '0', '0', ':', '8', '1', ':', '0', '0', '.', '0'};
  facts.gpu.capability = 9;
  const GpuFacts got = decode_gpu_facts(encode(facts));
  CHECK(got.gpu.uuid == facts.gpu.uuid);
  CHECK(got.gpu.pci_bus == facts.gpu.pci_bus);
  CHECK(got.gpu.capability == 9);
  CHECK(got.machine == facts.machine);
  CHECK(got.process == facts.process);
  CHECK(got.nccl_version == facts.nccl_version);
  CHECK(got.kernels_version == facts.kernels_version);
  CHECK(got.wanted == facts.wanted);
  CHECK(got.shares_gpus == facts.shares_gpus);
}

TEST_CASE("settings that mean nothing are refused") {
  CHECK(parse_gpu_collectives("host").value() == GpuCollectives::kHost);
  CHECK(parse_gpu_collectives("gpu").status().code() == StatusCode::kConfig);
}

}  // namespace
}  // namespace smddp
