// What the planner has to choose from, and why it may not take the rest.
#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "smddp/simulate.h"

namespace smddp {
namespace {

Topology hosts_of(const std::vector<int>& ranks_per_host) {
  Topology topology;
  for (std::size_t host = 0; host < ranks_per_host.size(); ++host) {
    topology.hosts.emplace_back();
    topology.host_of_rank.insert(topology.host_of_rank.end(),
                                 static_cast<std::size_t>(ranks_per_host[host]),
                                 static_cast<int>(host));
  }
  return topology;
}

std::vector<PlanOption> options(const CollectiveCall& call, const Topology& topology,
                                const std::string& order = "canonical") {
  Result<std::vector<PlanOption>> found = plan_options(call, topology, {.order = order});
  REQUIRE(found.ok());
  return std::move(found).value();
}

std::map<std::string, std::string> excluded(const std::vector<PlanOption>& options) {
  std::map<std::string, std::string> reasons;
  for (const PlanOption& option : options) reasons[option.algorithm] = option.excluded;
  return reasons;
}

TEST_CASE("the planner's choice comes first, then the others by time, then what may not be used") {
  const auto found = options({.count = 1 << 22}, hosts_of({1, 1, 1, 1}));
  REQUIRE(found.size() == 7);
  CHECK(found[0].algorithm == "mesh");
  for (std::size_t i = 1; i < found.size(); ++i) {
    if (found[i].excluded.empty()) CHECK(found[i - 1].seconds <= found[i].seconds);
    if (found[i].excluded.empty()) CHECK(found[i - 1].excluded.empty());
  }
}

TEST_CASE("a prediction is the price of a demand") {
  for (const PlanOption& option : options({.count = 1000}, hosts_of({2, 2}))) {
    CAPTURE(option.algorithm);
    const Demand& demand = option.demand;
    if (option.excluded.empty()) CHECK(demand.hops >= 1);
    if (option.algorithm != "one_step") continue;
    CHECK(demand.messages == 1);
    CHECK(demand.native_steps == 2);
    CHECK(demand.piece == 500);
  }
}

TEST_CASE("an algorithm is out by the hosts, by the order, or by the dtype") {
  const auto six = hosts_of({1, 1, 1, 1, 1, 1});
  auto reasons = excluded(options({.count = 100}, six));
  CHECK(reasons["halving"] == "needs a power of two of hosts");
  CHECK(reasons["ring"] == "order of sums: not the canonical one; SMDDP_ORDER=any allows it");
  CHECK(reasons["doubling"].empty());
  reasons = excluded(options({.dtype = DType::kBFloat16, .count = 100}, six));
  CHECK(
      reasons["doubling"] ==
      "order of sums: rounds bfloat16 at every host; SMDDP_PARTIALS=fp32 or SMDDP_ORDER=any allows "
      "it");
  const CollectiveCall call{.dtype = DType::kBFloat16, .count = 100};
  reasons = excluded(plan_options(call, six, {.partials = "fp32"}).value());
  CHECK(reasons["doubling"].empty());
  CHECK_FALSE(reasons["ring"].empty());
  reasons = excluded(options({.dtype = DType::kBFloat16, .count = 100}, six, "any"));
  CHECK(reasons["doubling"].empty());
  CHECK(reasons["ring"].empty());
  reasons = excluded(
      options({.collective = Collective::kAllGather, .count = 100}, hosts_of({2, 1, 1, 1})));
  CHECK(reasons["bruck"] == "needs as many ranks on each host");
}

TEST_CASE("one host has no choice") {
  CHECK(options({.count = 5}, hosts_of({3}))[0].algorithm == "native");
  CHECK(options({.count = 5}, hosts_of({1}))[0].algorithm == "copy");
}

TEST_CASE("what nobody could call is an error") {
  const Topology topology = hosts_of({1, 1});
  CHECK(plan_options({.count = 1, .root = 2}, topology, {}).status().message() ==
        "root 2 is no rank of 2");
  const CollectiveCall call{.dtype = DType::kComplex64, .count = 1};
  CHECK(plan_options(call, topology, {}).status().message() == "sum is not defined on complex64");
  CHECK_FALSE(plan_options({.count = 1}, topology, {.order = "sorted"}).ok());
  CHECK_FALSE(plan_options({.count = 1}, topology, {.partials = "fp64"}).ok());
}

}  // namespace
}  // namespace smddp
