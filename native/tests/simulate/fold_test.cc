// Which ranks can stand for which, and that it makes no difference.
#include "simulate/fold.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "smddp/simulate.h"

#include "plan/algorithm.h"

namespace smddp {
namespace {

Placement even(int hosts, int ranks) {
  std::vector<int> host_of_rank;
  for (int rank = 0; rank < hosts * ranks; ++rank) host_of_rank.push_back(rank / ranks);
  return Placement(host_of_rank);
}

Symmetry symmetry(Collective collective, const std::string& algorithm, int hosts, int ranks) {
  const Placement placement = even(hosts, ranks);
  Policy policy;
  policy.any_order = true;
  const CollectiveCall call{.collective = collective, .count = 1 << 16};
  Result<CallPlans> plans = CallPlans::make(call, algorithm, placement, policy);
  REQUIRE(plans.ok());
  return symmetry_of(plans.value(), placement);
}

TEST_CASE("direct schedules turn, halving exchanges, trees have lanes only") {
  CHECK(symmetry(Collective::kAllReduce, "mesh", 5, 3) == Symmetry::kRotation);
  CHECK(symmetry(Collective::kAllReduce, "ring", 6, 2) == Symmetry::kRotation);
  CHECK(symmetry(Collective::kAllReduce, "one_step", 4, 1) == Symmetry::kRotation);
  CHECK(symmetry(Collective::kAllGather, "bruck", 6, 2) == Symmetry::kRotation);
  CHECK(symmetry(Collective::kAllReduce, "halving", 8, 2) == Symmetry::kExchange);
  CHECK(symmetry(Collective::kAllReduce, "doubling", 8, 2) == Symmetry::kExchange);
  CHECK(symmetry(Collective::kAllReduce, "doubling", 5, 2) == Symmetry::kLanes);
  CHECK(symmetry(Collective::kAllReduce, "tree", 4, 2) == Symmetry::kLanes);
}

TEST_CASE("messages of ranks in the same place go the same way") {
  const Placement placement = even(4, 2);
  const Fold turned(placement, Symmetry::kRotation);
  CHECK(turned.actors() == std::vector<Rank>{0});
  CHECK(turned.way(5, 1) == Fold::Way{0, 4});  // two hosts on, the same local rank
  CHECK(turned.way(6, 1) == Fold::Way{0, 3});  // one host on, the next local rank
  const Fold lanes(placement, Symmetry::kLanes);
  CHECK(lanes.actors() == std::vector<Rank>{0, 2, 4, 6});
  CHECK(lanes.way(5, 1) == Fold::Way{4, 0});
  CHECK(lanes.actor_of(7) == 6);
  CHECK(Fold(placement, Symmetry::kExchange).way(6, 2) == Fold::Way{0, 4});
}

Topology alike(int hosts, int ranks, int rails) {
  Topology topology;
  HostTopology host;
  for (int rail = 0; rail < rails; ++rail)
    host.rails.push_back({.name = "eth" + std::to_string(rail), .gbps = 10});
  topology.hosts.assign(static_cast<std::size_t>(hosts), host);
  for (int rank = 0; rank < hosts * ranks; ++rank) topology.host_of_rank.push_back(rank / ranks);
  return topology;
}

/// The same call with all ranks, and with those that stand for others.
void check_fold(const SimulatedCall& call, const Topology& topology) {
  const SimulatedMachine machine{.efficiency = 0.9,
                                 .own_rails = true,
                                 .send_byte = 0.2e-9,
                                 .receive_byte = 0.3e-9,
                                 .processors = 1,
                                 .incast = 0.01};
  const PlanSettings settings{.order = "any"};
  Result<Simulation> folded = simulate({call}, topology, settings, machine, {});
  Result<Simulation> whole = simulate({call}, topology, settings, machine, {.fold = false});
  REQUIRE(folded.ok());
  REQUIRE(whole.ok());
  CHECK(whole.value().ranks.size() == topology.host_of_rank.size());
  CHECK(folded.value().ranks.size() <= topology.hosts.size());
  CHECK(folded.value().seconds == doctest::Approx(whole.value().seconds).epsilon(1e-6));
}

TEST_CASE("ranks that stand for others take as long as all ranks") {
  for (const Collective collective : {Collective::kAllReduce, Collective::kReduceScatter,
                                      Collective::kAllGather, Collective::kBarrier}) {
    for (const Algorithm* algorithm : algorithms()) {
      if (algorithm->collective != collective) continue;
      CAPTURE(algorithm->name);
      // A barrier's messages are of one rank of each host.
      const int ranks = collective == Collective::kBarrier ? 1 : 4;
      for (const std::size_t count : {std::size_t{1} << 8, std::size_t{1} << 20}) {
        check_fold({.call = {.collective = collective, .count = count},
                    .algorithm = std::string{algorithm->name}},
                   alike(8, ranks, 2));
      }
    }
  }
}

}  // namespace
}  // namespace smddp
