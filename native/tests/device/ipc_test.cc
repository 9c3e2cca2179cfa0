// Collectives by our kernels, and what becomes of shared memory.
#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "smddp/registered.h"

#include "device/gpu_world.h"
#include "support/fabric.h"

namespace smddp::test {
namespace {

const Fabric kOneHost{"shm", "auto"};
constexpr std::size_t kStaging = std::size_t{1} << 20;

Request sum_of(const TestMemory& memory) {
  return {.collective = Collective::kAllReduce,
          .dtype = DType::kFloat32,
          .in = memory.data(),
          .out = memory.data(),
          .count = memory.size()};
}

/// The least of all ranks counts; and one keeps its tensors to itself.
void set_staging(Config& config, Rank rank) {
  if (rank == 1) config.gpu_staging_bytes = kStaging;
  config.gpu_open_tensors = rank != 3;
}

TEST_CASE("large tensors of ranks that share a GPU are right, on several streams") {
  constexpr int kRanks = 4;
  constexpr std::size_t kCount = 2 * kStaging / sizeof(float) + 3;
  const World world{kOneHost, kRanks};
  world.run([&](Rank rank) {
    const GpuMember member =
        join_gpus(world, rank, "ipc", [&](Config& config) { set_staging(config, rank); });
    TestStream first{0};
    TestStream second{0};
    std::vector<float> values(kCount);
    for (std::size_t i = 0; i < kCount; ++i)
      values[i] = static_cast<float>((i % 1000) * 10 + static_cast<std::size_t>(rank));
    const TestMemory one{0, values};
    const TestMemory other{0, values};
    if (rank == 2) first.hold();  // the second stream's must not overtake
    const Work works[] = {member.group->submit(sum_of(one), first.get()),
                          member.group->submit(sum_of(other), second.get())};
    if (rank == 2) first.release();
    for (const Work& work : works) finish(work);
    first.finish();
    second.finish();
    for (const TestMemory* memory : {&one, &other}) {
      for (std::size_t i = 0; i < kCount; ++i)
        expect(memory->data()[i] == static_cast<float>((i % 1000) * 40 + 6), "sum");
    }
  });
}

TEST_CASE("of calls that differ none is taken for done, however fast GPUs get through them") {
  const World world{kOneHost, 2};
  world.run([&](Rank rank) {
    const GpuMember member = join_gpus(world, rank, "ipc");
    expect(member.group->meet().ok(), "meeting");
    TestStream stream{0};
    const TestMemory memory{0, std::vector<float>(100'000, 1.0F)};
    stream.hold();
    std::vector<Work> works;
    for (int turn = 0; turn < 3; ++turn) {
      Request request = sum_of(memory);
      if (turn == 1 && rank == 1) request.count /= 3;
      works.push_back(member.group->submit(request, stream.get()));
    }
    stream.release();
    stream.finish();
    expect(outcome_of(works[0]).ok(), "of that all have called the same");
    expect(!outcome_of(works[1]).ok(), "a result that is none");
  });
}

TEST_CASE("float8 is added by kernels, and refused where host memory would have to") {
  for (const std::string collectives : {"ipc", "host"}) {
    const World world{kOneHost, 2};
    world.run([&](Rank rank) {
      const GpuMember member = join_gpus(world, rank, collectives);
      TestStream stream{member.gpu};
      const TestMemory memory{member.gpu, std::vector<float>(4, 0.0F)};
      auto* const bytes = reinterpret_cast<std::uint8_t*>(memory.data());
      std::fill_n(bytes, 16, 0x38);  // 1
      const Status outcome = outcome_of(member.group->submit({.collective = Collective::kAllReduce,
                                                              .dtype = DType::kFloat8E4m3fn,
                                                              .in = bytes,
                                                              .out = bytes,
                                                              .count = 16},
                                                             stream.get()));
      stream.finish();
      if (collectives == "host") {
        expect(outcome.code() == StatusCode::kInvalidArgument, outcome.message());
        expect(outcome.message().find("float8_e4m3fn") != std::string::npos, outcome.message());
      } else {
        expect(outcome.ok(), outcome.message());
        expect(bytes[0] == 0x40 && bytes[15] == 0x40, "1 + 1 is 2");
      }
    });
  }
}

TEST_CASE("a rank that died with others waiting for it on the GPU leaves them able to go on") {
  if (kSeesRacesAfterFailures) return;
  // As a thread cannot die alone, it leaves without what the others wait for.
  const World world{kOneHost, 3};
  world.run([&](Rank rank) {
    GpuMember member = join_gpus(world, rank, "ipc");
    expect(member.group->meet().ok(), "meeting");
    TestStream stream{0};
    const TestMemory memory{0, std::vector<float>(100, 1.0F)};
    if (rank == 1) {
      member.group->leave(std::chrono::milliseconds{0}, "it has to go");
      return;
    }
    const Status outcome = outcome_of(member.group->submit(sum_of(memory), stream.get()));
    expect(outcome.message().find("rank 1") != std::string::npos, outcome.message());
    stream.finish();
  });
}

TEST_CASE("a caller who is too far ahead of the GPU hears of a rank that left") {
  if (kSeesRacesAfterFailures) return;
  constexpr std::size_t kCount = 40 * kStaging / sizeof(float);
  limit_queues(50);
  const World world{kOneHost, 3};
  world.run([&](Rank rank) {
    const GpuMember member =
        join_gpus(world, rank, "ipc", [](Config& config) { config.gpu_staging_bytes = kStaging; });
    expect(member.group->meet().ok(), "meeting");
    if (rank == 1) {
      member.group->leave(std::chrono::milliseconds{0}, "it has to go");
      return;
    }
    TestStream stream{0};
    const TestMemory memory{0, std::vector<float>(kCount, 1.0F)};
    const Status outcome = outcome_of(member.group->submit(sum_of(memory), stream.get()));
    expect(outcome.message().find("rank 1") != std::string::npos, outcome.message());
    stream.finish();
  });
  limit_queues(0);
}

/// Nothing is lost, and nobody writes where he should not.
void check_all_go_through_host_memory(int gpu) {
  const World world{kOneHost, 3};
  world.run([&](Rank rank) {
    auto block = RegisteredBlock::allocate(4096);
    expect(block.ok(), block.status().message());
    const GpuMember member = join_gpu(
        gpu, world, rank, "auto", [](Config& config) { config.timeout = std::chrono::seconds{4}; });
    expect(member.group->meet().ok(), "meeting");
    TestStream stream{gpu};
    const TestMemory memory{gpu, std::vector<float>(100, 1.0F)};
    finish(member.group->submit(sum_of(memory), stream.get()));
    stream.finish();
    expect(memory.values() == std::vector<float>(100, 3.0F), "sum");
    expect(member.group->transport().starts_with("host"), member.group->transport());
    const std::byte* const bytes = block.value().data();
    expect(std::all_of(bytes, bytes + 4096, [](std::byte byte) { return byte == std::byte{0}; }),
           "somebody wrote into this rank's memory");
  });
}

TEST_CASE("where one rank has no room for its part, all go through host memory") {
  refuse("cuMemAlloc_v2", 1);
  check_all_go_through_host_memory(7);  // which has no slabs yet
}

TEST_CASE("where a trial fails on one rank, all go through host memory, and no stream waits") {
  if (kSeesRacesAfterFailures) return;
  refuse("cuStreamCreateWithPriority", 1);
  check_all_go_through_host_memory(0);
}

TEST_CASE("groups that come and go use the same memory, and each has it to itself") {
  for (int turn = 0; turn < 5; ++turn) {
    CAPTURE(turn);
    const World again{kOneHost, 2};
    again.run([&](Rank rank) {
      const GpuMember member = join_gpus(again, rank, "ipc");
      TestStream stream{0};
      const TestMemory memory{0, std::vector<float>(1000, static_cast<float>(rank + turn))};
      for (int k = 0; k < 3; ++k) {
        finish(member.group->submit(sum_of(memory), stream.get()));
      }
      stream.finish();
      expect(memory.values() == std::vector<float>(1000, static_cast<float>(8 * turn + 4)), "sum");
    });
  }
}

}  // namespace
}  // namespace smddp::test
