// Which algorithm is chosen: what is asked for, what the order of sums allows, what is the fastest.
#include "plan/planner.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "plan/cases.h"

namespace smddp::test {
namespace {

CollectiveSpec sum_of(std::size_t count, DType dtype = DType::kFloat32) {
  return {.collective = Collective::kAllReduce, .dtype = dtype, .count = count};
}

Placement hosts_of_one(int hosts) {
  return consecutive(std::vector<int>(static_cast<std::size_t>(hosts), 1));
}

std::vector<std::string> names(const std::vector<Candidate>& candidates) {
  std::vector<std::string> all;
  for (const Candidate& candidate : candidates) all.emplace_back(candidate.algorithm->name);
  return all;
}

bool has(const std::vector<Candidate>& candidates, const std::string& name) {
  const std::vector<std::string> all = names(candidates);
  return std::find(all.begin(), all.end(), name) != all.end();
}

Policy policy_of(const std::string& order, const std::string& wanted = "") {
  Result<Policy> policy = parse_policy({.order = order, .wanted = wanted});
  REQUIRE(policy.ok());
  return std::move(policy).value();
}

std::string error_of(const std::string& order, const std::string& wanted,
                     const std::string& partials = "native") {
  const Result<Policy> policy =
      parse_policy({.order = order, .partials = partials, .wanted = wanted});
  REQUIRE(policy.status().code() == StatusCode::kConfig);
  return policy.status().message();
}

TEST_CASE("what the settings say") {
  CHECK(policy_of("canonical") == Policy{});
  CHECK(policy_of("any").any_order);
  const Policy policy = policy_of("canonical", "all_reduce=ring,broadcast=tree");
  CHECK_FALSE(policy.any_order);
  REQUIRE(policy.wanted.size() == 2);
  CHECK(policy.wanted.at(Collective::kAllReduce)->name == "ring");
  CHECK(policy.wanted.at(Collective::kBroadcast)->name == "tree");
  CHECK(policy.partials == Partials::kNative);
  CHECK(parse_policy({.partials = "fp32"}).value().partials == Partials::kFloat32);
}

TEST_CASE("settings that mean nothing are errors that say what there is") {
  CHECK(error_of("sorted", "") == "SMDDP_ORDER=sorted is none of canonical, any");
  CHECK(error_of("any", "", "fp64") == "SMDDP_PARTIALS=fp64 is none of native, fp32");
  CHECK(error_of("any", "ring") ==
        "SMDDP_ALGORITHM: 'ring' is not of the form collective=algorithm, as in all_reduce=ring");
  CHECK(error_of("any", "broadcast=tree,allreduce=ring") ==
        "SMDDP_ALGORITHM: 'allreduce=ring' names no collective, such as all_reduce or broadcast");
  CHECK(error_of("any", "broadcast=ring") ==
        "SMDDP_ALGORITHM: 'broadcast=ring' names no algorithm; choose one of: mesh, tree, "
        "scatter_gather");
}

TEST_CASE("sums of floating point keep the canonical order unless any will do") {
  const Placement placement = hosts_of_one(6);
  const Policy canonical;
  const Policy any = policy_of("any");
  for (const ReduceOp op : {ReduceOp::kSum, ReduceOp::kAverage, ReduceOp::kProduct}) {
    CollectiveSpec spec = sum_of(1000);
    spec.op = op;
    for (const Candidate& candidate : candidates(spec, placement, canonical))
      CHECK(candidate.algorithm->order != SumOrder::kOther);
    CHECK(has(candidates(spec, placement, any), "ring"));
    CHECK(has(candidates(spec, placement, any), "double_tree"));
  }
  CollectiveSpec largest = sum_of(1000);
  largest.op = ReduceOp::kMax;
  CHECK(has(candidates(largest, placement, canonical), "ring"));
  CHECK(has(candidates(sum_of(1000, DType::kInt64), placement, canonical), "ring"));
}

TEST_CASE("sums of 16-bit floating point are rounded once between hosts unless any order will do") {
  const Placement placement = hosts_of_one(8);
  for (const DType dtype : {DType::kFloat16, DType::kBFloat16}) {
    CHECK(names(candidates(sum_of(1, dtype), placement, Policy{})) ==
          std::vector<std::string>{"one_step", "mesh"});
    CHECK(has(candidates(sum_of(1, dtype), placement, policy_of("any")), "doubling"));
  }
}

TEST_CASE("partial sums in float32 are rounded once by every canonical algorithm") {
  Policy wide;
  wide.partials = Partials::kFloat32;
  for (const DType dtype : {DType::kFloat16, DType::kBFloat16}) {
    for (const int ranks : {1, 2}) {
      const Placement placement = consecutive(std::vector<int>(8, ranks));
      auto all = names(candidates(sum_of(1, dtype), placement, wide));
      std::sort(all.begin(), all.end());
      CHECK(all == std::vector<std::string>{"doubling", "halving", "mesh", "one_step", "tree"});
    }
  }
  CHECK(candidates(sum_of(1, DType::kFloat16), hosts_of_one(64), wide).front().algorithm->name ==
        "doubling");
}

TEST_CASE("partial sums of 16-bit floating point in float32 cost twice the bytes") {
  Policy wide;
  wide.costs = {.hop = 0,
                .message = 0,
                .link = {{kAnySize, 1e-9}},
                .reduce = 0,
                .native_step = 0,
                .native = 0};
  wide.wanted[Collective::kAllReduce] = find_algorithm(Collective::kAllReduce, "mesh");
  Policy native = wide;
  wide.partials = Partials::kFloat32;
  const auto ratio = [&](const CollectiveSpec& spec, const Placement& placement) {
    return candidates(spec, placement, wide).front().seconds /
           candidates(spec, placement, native).front().seconds;
  };
  const Placement two_by_two = consecutive({2, 2});
  CHECK(ratio(sum_of(100, DType::kBFloat16), two_by_two) == doctest::Approx(1.5));
  CHECK(ratio(sum_of(100, DType::kBFloat16), consecutive({1, 2})) == doctest::Approx(1.5));
  // Contributions of single ranks are no sums.
  CHECK(ratio(sum_of(100, DType::kBFloat16), hosts_of_one(4)) == doctest::Approx(1));
  CHECK(ratio(sum_of(100, DType::kFloat32), two_by_two) == doctest::Approx(1));
  CollectiveSpec spec = sum_of(100, DType::kFloat16);
  spec.op = ReduceOp::kMax;
  CHECK(ratio(spec, two_by_two) == doctest::Approx(1));
  CHECK(make_plan(spec, two_by_two, wide, 0).partials == DType::kFloat16);
  spec.op = ReduceOp::kProduct;
  CHECK(make_plan(spec, two_by_two, wide, 0).partials == DType::kFloat32);
}

TEST_CASE("candidates suit the placement, and the fastest comes first") {
  const Policy any = policy_of("any");
  CHECK_FALSE(has(candidates(sum_of(1000), hosts_of_one(6), any), "halving"));
  CHECK(has(candidates(sum_of(1000), hosts_of_one(8), any), "halving"));
  for (int hosts = 2; hosts <= 33; ++hosts) {
    for (const std::size_t count : {0U, 1U, 100U, 10'000U, 1'000'000U, 100'000'000U}) {
      const auto all = candidates(sum_of(count), hosts_of_one(hosts), any);
      CHECK(std::is_sorted(all.begin(), all.end(), [](const Candidate& a, const Candidate& b) {
        return a.seconds < b.seconds;
      }));
    }
  }
}

TEST_CASE("few hops for little, few bytes for much") {
  const auto choice = [](std::size_t count, int hosts) {
    return std::string{
        candidates(sum_of(count), hosts_of_one(hosts), Policy{}).front().algorithm->name};
  };
  CHECK(choice(2, 2) == "one_step");
  CHECK(choice(2, 4) == "one_step");
  CHECK(choice(2, 64) == "doubling");
  CHECK(choice(4'000'000, 2) == "mesh");
  CHECK(choice(4'000'000, 8) == "mesh");
}

TEST_CASE("growing vectors leave each algorithm once") {
  for (const int hosts : {2, 3, 4, 8, 32, 128}) {
    const Placement placement = hosts_of_one(hosts);
    std::vector<std::string> chosen;
    for (std::size_t count = 1; count <= std::size_t{64} << 20; count += count / 50 + 1) {
      const std::string name{candidates(sum_of(count), placement, {}).front().algorithm->name};
      if (chosen.empty() || chosen.back() != name) chosen.push_back(name);
    }
    CAPTURE(hosts);
    CHECK(chosen.back() == "mesh");
    std::sort(chosen.begin(), chosen.end());
    CHECK(std::adjacent_find(chosen.begin(), chosen.end()) == chosen.end());
  }
}

TEST_CASE("slow links make bytes count: the direct schedule takes over earlier") {
  Policy slow;
  slow.costs.link = {{kAnySize, 80e-9}};
  const Placement placement = hosts_of_one(4);
  CHECK(candidates(sum_of(1000), placement, Policy{}).front().algorithm->name == "one_step");
  CHECK(candidates(sum_of(1000), placement, slow).front().algorithm->name == "mesh");
}

TEST_CASE("an algorithm that is asked for is used where it suits and the order allows it") {
  const Placement placement = hosts_of_one(6);
  const Policy tree = policy_of("canonical", "all_reduce=tree");
  const auto all = candidates(sum_of(1'000'000), placement, tree);
  CHECK(names(all).front() == "tree");
  CHECK(all.size() == candidates(sum_of(1'000'000), placement, Policy{}).size());
  CHECK(make_plan(sum_of(1'000'000), placement, tree, 4).algorithm == "tree");
  const Policy ring = policy_of("canonical", "all_reduce=ring");
  CHECK(make_plan(sum_of(100), placement, ring, 4).algorithm != "ring");
  CHECK(make_plan(sum_of(100, DType::kInt32), placement, ring, 4).algorithm == "ring");
  CHECK(make_plan(sum_of(100), placement, policy_of("any", "all_reduce=ring"), 4).algorithm ==
        "ring");
  const Policy halving = policy_of("canonical", "all_reduce=halving");
  CHECK(make_plan(sum_of(100), placement, halving, 4).algorithm != "halving");
  CHECK(make_plan(sum_of(100), hosts_of_one(4), halving, 3).algorithm == "halving");
}

TEST_CASE("all ranks choose the same") {
  std::mt19937 random = random_of_this_run();
  for (const Placement& placement : placements(11, random)) {
    for (const std::size_t count : {1U, 5000U, 3'000'000U}) {
      const std::string first = make_plan(sum_of(count), placement, Policy{}, 0).algorithm;
      for (Rank rank = 1; rank < placement.world(); ++rank)
        CHECK(make_plan(sum_of(count), placement, Policy{}, rank).algorithm == first);
    }
  }
}

/// Seconds that the slowest of some ranks takes.
double seconds_to_plan(const Placement& placement, const CollectiveSpec& spec,
                       const Policy& policy) {
  double slowest = 0;
  for (const Rank self : {0, placement.world() / 2 + 1, placement.world() - 1}) {
    const auto begin = std::chrono::steady_clock::now();
    const Plan plan = make_plan(spec, placement, policy, self);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    CHECK(plan.algorithm == policy.wanted.at(spec.collective)->name);
    slowest = std::max(slowest, taken.count());
  }
  return slowest;
}

TEST_CASE("a plan for 1024 ranks takes less than a second") {
  constexpr int kRanks = 1024;
  const std::vector<std::size_t> counts(kRanks, 1000);
  double slowest = 0;
  for (const int ranks_per_host : {1, 8}) {
    const Placement placement =
        consecutive(std::vector<int>(kRanks / ranks_per_host, ranks_per_host));
    for (const Algorithm* algorithm : algorithms()) {
      const CollectiveSpec spec{.collective = algorithm->collective,
                                .count = kRanks * 1000,
                                .counts = counts,
                                .send_counts = counts};
      Policy policy{.any_order = true};
      policy.wanted[spec.collective] = algorithm;
      if (!why_excluded(*algorithm, spec, placement, policy).empty()) continue;
      CAPTURE(algorithm->name);
      const double seconds = seconds_to_plan(placement, spec, policy);
      CHECK(seconds < 1);
      slowest = std::max(slowest, seconds);
    }
  }
  MESSAGE("the slowest plan of a rank of 1024 took ", 1e3 * slowest, " ms");
}

TEST_CASE("every collective has an algorithm that suits all, listed first") {
  for (int i = 0; i < kCollectiveCount; ++i) {
    const auto collective = static_cast<Collective>(i);
    const auto first = std::find_if(
        algorithms().begin(), algorithms().end(),
        [&](const Algorithm* algorithm) { return algorithm->collective == collective; });
    CAPTURE(name_of(collective));
    REQUIRE(first != algorithms().end());
    CHECK((*first)->name == "mesh");
    CHECK((*first)->order == SumOrder::kAtOnce);
    CHECK(find_algorithm(collective, "mesh") == *first);
    CHECK(find_algorithm(collective, "carrier_pigeon") == nullptr);
  }
}

}  // namespace
}  // namespace smddp::test
