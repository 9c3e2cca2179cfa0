// What plans cost and what they look like: bytes between hosts, hops, messages, native steps.
#include <algorithm>
#include <functional>
#include <map>
#include <random>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "plan/cases.h"

using namespace smddp;
using namespace smddp::test;

namespace {

CollectiveSpec whole_vector(Collective collective, std::size_t count) {
  CollectiveSpec spec;
  spec.collective = collective;
  spec.count = count;
  return spec;
}

/// Elements that leave each host; a wider one counts as two.
std::vector<std::size_t> sent_by_host(const Case& the_case) {
  std::vector<std::size_t> sent(static_cast<std::size_t>(the_case.placement.hosts()), 0);
  const std::vector<Plan> plans = plans_of(the_case);
  for (Rank rank = 0; rank < the_case.world(); ++rank) {
    for (const Step& step : plans[static_cast<std::size_t>(rank)].steps) {
      if (step.kind != StepKind::kSend) continue;
      const Range& source = step.sources[0];
      const bool wide = source.space == Space::kPartials &&
                        partials_of(the_case.specs[0]) != the_case.specs[0].dtype;
      sent[static_cast<std::size_t>(the_case.placement.host_of(rank))] +=
          source.count * (wide ? 2 : 1);
    }
  }
  return sent;
}

/// Step number `k` of a kind (and peer) in a plan.
std::size_t find_step(const Plan& plan, StepKind kind, Rank peer, int k) {
  std::size_t index = 0;
  while (true) {
    const Step& step = plan.steps.at(index);
    if (step.kind == kind && step.peer == peer && k-- == 0) return index;
    ++index;
  }
}

/// Depth of every step of every rank: messages on the longest chain that ends in it.
class Depths {
 public:
  explicit Depths(const Case& the_case)
      : placement_(the_case.placement), plans_(plans_of(the_case)) {
    for (const Plan& plan : plans_) depths_.emplace_back(plan.steps.size(), 0);
    while (relax()) {
    }
  }
  int deepest() const {
    int deepest = 0;
    for (const std::vector<int>& plan : depths_) {
      for (const int depth : plan) deepest = std::max(deepest, depth);
    }
    return deepest;
  }

 private:
  bool relax() {
    bool changed = false;
    for (std::size_t rank = 0; rank < plans_.size(); ++rank) {
      std::map<std::pair<StepKind, Rank>, int> seen;
      for (std::size_t i = 0; i < plans_[rank].steps.size(); ++i) {
        const Step& step = plans_[rank].steps[i];
        const int k = seen[{step.kind, step.peer}]++;
        int depth = others(static_cast<Rank>(rank), step, k);
        for (const std::uint32_t id : step.after) depth = std::max(depth, depths_[rank][id]);
        changed = changed || depth > depths_[rank][i];
        depths_[rank][i] = std::max(depth, depths_[rank][i]);
      }
    }
    return changed;
  }
  /// What the step waits for on other ranks: its message, or its host's ranks in a native step.
  int others(Rank rank, const Step& step, int k) const {
    const auto of = [&](Rank other, StepKind kind, Rank peer) {
      const auto index = static_cast<std::size_t>(other);
      return depths_[index][find_step(plans_[index], kind, peer, k)];
    };
    if (step.kind == StepKind::kRecv) return of(step.peer, StepKind::kSend, rank) + 1;
    int depth = 0;
    if (step.kind != StepKind::kNative) return depth;
    for (const Rank neighbour : placement_.ranks_on(placement_.host_of(rank))) {
      depth = std::max(depth, of(neighbour, StepKind::kNative, -1));
    }
    return depth;
  }

  const Placement& placement_;
  std::vector<Plan> plans_;
  std::vector<std::vector<int>> depths_;
};

int steps_of_kind(const Plan& plan, StepKind kind) {
  return static_cast<int>(std::count_if(plan.steps.begin(), plan.steps.end(),
                                        [&](const Step& step) { return step.kind == kind; }));
}

}  // namespace

TEST_CASE("all_reduce sends 2 (N - 1) / N of the vector from each host") {
  for (int hosts = 2; hosts <= 8; ++hosts) {
    for (const int ranks : {1, 2, 4, 8}) {
      const auto count = static_cast<std::size_t>(hosts) * static_cast<std::size_t>(ranks) * 10;
      const Case the_case =
          uniform(consecutive(std::vector<int>(static_cast<std::size_t>(hosts), ranks)),
                  whole_vector(Collective::kAllReduce, count));
      const std::size_t expected =
          2 * static_cast<std::size_t>(hosts - 1) * count / static_cast<std::size_t>(hosts);
      for (const std::size_t sent : sent_by_host(the_case)) CHECK(sent == expected);
    }
  }
}

TEST_CASE("wide partial sums: two bytes more for each element on the way to its owner") {
  const CollectiveSpec spec = whole_vector(Collective::kAllReduce, 80);
  const auto sent = [&](const std::vector<int>& ranks_per_host) {
    return sent_by_host(with_wide_partials(uniform(consecutive(ranks_per_host), spec)));
  };
  CHECK(sent({2, 2}) == std::vector<std::size_t>{120, 120});
  CHECK(sent({4, 4, 4, 4}) == std::vector<std::size_t>(4, 180));
  CHECK(sent({2, 1}) == std::vector<std::size_t>{120, 120});
  // Contributions of single ranks are no sums.
  CHECK(sent({1, 1}) == std::vector<std::size_t>{80, 80});
}

TEST_CASE("block collectives send each block across each wire once") {
  const Placement placement = consecutive({3, 1, 2});
  CollectiveSpec spec;
  spec.counts = {5, 0, 7, 11, 2, 3};
  spec.collective = Collective::kAllGather;  // own blocks to two other hosts
  CHECK(sent_by_host(uniform(placement, spec)) == std::vector<std::size_t>{24, 22, 10});
  spec.collective = Collective::kReduceScatter;  // everybody else's blocks
  CHECK(sent_by_host(uniform(placement, spec)) == std::vector<std::size_t>{16, 17, 23});
}

TEST_CASE("rooted collectives move the vector over each wire once") {
  const Placement placement = consecutive({2, 3, 2});
  CollectiveSpec spec = whole_vector(Collective::kBroadcast, 25);
  spec.root = 3;
  CHECK(sent_by_host(uniform(placement, spec)) == std::vector<std::size_t>{0, 50, 0});
  spec.collective = Collective::kReduce;
  CHECK(sent_by_host(uniform(placement, spec)) == std::vector<std::size_t>{25, 0, 25});
}

TEST_CASE("gather and scatter send each block of other hosts straight to and from the root") {
  const Placement placement = consecutive({3, 1, 2});
  CollectiveSpec spec;
  spec.counts = {5, 0, 7, 11, 2, 3};
  spec.root = 4;
  spec.collective = Collective::kGather;
  CHECK(sent_by_host(uniform(placement, spec)) == std::vector<std::size_t>{12, 11, 0});
  spec.collective = Collective::kScatter;
  CHECK(sent_by_host(uniform(placement, spec)) == std::vector<std::size_t>{0, 0, 23});
  CHECK(to_string(plans_of(uniform(placement, spec))[4]) ==
        "mesh: 9 steps, scratch 0\n"
        "0: send nothing -> rank 0\n"
        "1: send nothing -> rank 3\n"
        "2: recv rank 3 -> nothing\n"
        "3: recv rank 0 -> nothing\n"
        "4: send in[0, 5) -> rank 0\n"
        "5: send in[5, 5) -> rank 1\n"
        "6: send in[5, 12) -> rank 2\n"
        "7: send in[12, 23) -> rank 3\n"
        "8: native scatter root 0 in[0, 28) -> out[0, 2) in_parts 23+2 25+3\n");
}

TEST_CASE("lanes and shards are balanced: ranks of a lane send nearly the same") {
  const Case the_case = uniform(consecutive({4, 4, 4}), whole_vector(Collective::kAllReduce, 1003));
  std::size_t least = 1003;
  std::size_t most = 0;
  for (const Plan& plan : plans_of(the_case)) {
    std::size_t sent = 0;
    for (const Step& step : plan.steps) {
      if (step.kind == StepKind::kSend) sent += step.sources[0].count;
    }
    least = std::min(least, sent);
    most = std::max(most, sent);
  }
  CHECK(most - least <= 4);  // one element of a lane or a shard in each of four messages
}

TEST_CASE("plans take as many hops as their algorithm declares, and no more bytes leave a host") {
  std::mt19937 random = random_of_this_run();
  for (int world = 2; world <= 12; ++world) {
    for (const Placement& placement : placements(world, random)) {
      for_each_case(placement, [](const Case& the_case) {
        const Depths depths(the_case);
        if (the_case.algorithm == nullptr) {
          REQUIRE(depths.deepest() == 0);
          return;
        }
        const Demand demand = the_case.algorithm->demand(the_case.specs[0], the_case.placement);
        // An incomplete last round of Bruck's, or level of a double tree, may wait for less.
        const bool is_exact =
            the_case.algorithm->name != "double_tree" && the_case.algorithm->name != "bruck";
        REQUIRE_MESSAGE(depths.deepest() <= demand.hops, the_case.name());
        REQUIRE_MESSAGE((!is_exact || depths.deepest() == demand.hops), the_case.name());
      });
    }
  }
}

TEST_CASE("on even hosts no more elements leave a host than its algorithm declares") {
  for (const int ranks : {1, 2, 3}) {
    for (int hosts = 2; hosts <= 9; ++hosts) {
      const Placement placement =
          consecutive(std::vector<int>(static_cast<std::size_t>(hosts), ranks));
      const auto check = [](const Case& the_case) {
        const std::vector<std::size_t> sent = sent_by_host(the_case);
        const Demand demand = the_case.algorithm->demand(the_case.specs[0], the_case.placement);
        const auto most = static_cast<double>(*std::max_element(sent.begin(), sent.end()));
        // Declared without rounding: a share of one more element in each message.
        const double width = the_case.specs[0].partials == Partials::kFloat32 ? 2 : 1;
        const double slack = (demand.messages * 3 + 3) * width;
        const std::vector<std::size_t>& counts = the_case.specs[0].counts;
        const bool is_even =
            std::adjacent_find(counts.begin(), counts.end(), std::not_equal_to<>{}) == counts.end();
        if (is_even) REQUIRE_MESSAGE(most <= demand.wire + slack, the_case.name());
      };
      for_each_case(placement, [&](const Case& the_case) {
        check(the_case);
        check(with_wide_partials(the_case));
      });
    }
  }
}

TEST_CASE(
    "every two hosts exchange a message both ways by mesh; neighbours meet in a native step") {
  std::mt19937 random = random_of_this_run();
  for (int world = 2; world <= 12; ++world) {
    for (const Placement& placement : placements(world, random)) {
      for_each_case(placement, [&](const Case& the_case) {
        std::map<std::pair<int, int>, int> messages;
        const std::vector<Plan> plans = plans_of(the_case);
        for (Rank rank = 0; rank < world; ++rank) {
          const Plan& plan = plans[static_cast<std::size_t>(rank)];
          const int host = placement.host_of(rank);
          for (const Step& step : plan.steps) {
            if (step.kind == StepKind::kSend) ++messages[{host, placement.host_of(step.peer)}];
          }
          const bool alone = placement.ranks_on(host).size() == 1;
          REQUIRE((steps_of_kind(plan, StepKind::kNative) > 0) == !alone);
        }
        const auto hosts = static_cast<std::size_t>(placement.hosts());
        if (the_case.algorithm != nullptr && the_case.algorithm->name != "mesh") return;
        REQUIRE_MESSAGE(messages.size() == hosts * (hosts - 1), the_case.name());
      });
    }
  }
}

TEST_CASE("one host: exactly one native step, no scratch") {
  for_each_case(Placement::one_host(4), [](const Case& the_case) {
    for (const Plan& plan : plans_of(the_case)) {
      REQUIRE(plan.algorithm == "native");
      REQUIRE(plan.steps.size() == 1);
      REQUIRE(plan.steps[0].kind == StepKind::kNative);
      REQUIRE(plan.scratch_count == 0);
    }
  });
}

TEST_CASE("a world of one copies, and a barrier of one does nothing") {
  for_each_case(Placement::one_host(1), [](const Case& the_case) {
    const Plan plan = plans_of(the_case)[0];
    const bool is_barrier = the_case.specs[0].collective == Collective::kBarrier;
    REQUIRE(plan.algorithm == "copy");
    REQUIRE(steps_of_kind(plan, StepKind::kCopy) == (is_barrier ? 0 : 1));
    REQUIRE(plan.steps.size() == (is_barrier ? 0 : 1));
  });
}

TEST_CASE("plans are deterministic") {
  std::mt19937 random = random_of_this_run();
  for (const Placement& placement : placements(6, random)) {
    for_each_case(placement, [](const Case& the_case) {
      const std::vector<Plan> once = plans_of(the_case);
      const std::vector<Plan> again = plans_of(the_case);
      for (std::size_t rank = 0; rank < once.size(); ++rank) {
        REQUIRE(to_string(once[rank]) == to_string(again[rank]));
      }
    });
  }
}

TEST_CASE("a plan prints one line per step") {
  CollectiveSpec spec = whole_vector(Collective::kAllReduce, 10);
  spec.op = ReduceOp::kAverage;
  CHECK(to_string(plans_of(uniform(consecutive({2, 2}), spec))[3]) ==
        "mesh: 7 steps, scratch 0, partials 7 float32\n"
        "0: native reduce_scatter sum in[0, 10) -> partials[0, 5) in_parts 0+5 5+5\n"
        "1: send partials[0, 3) -> rank 1, after 0\n"
        "2: recv rank 1 -> partials[5, 7)\n"
        "3: reduce sum/4 partials[5, 7) partials[3, 5) -> out[8, 10), after 0 2\n"
        "4: send out[8, 10) -> rank 1, after 3\n"
        "5: recv rank 1 -> out[5, 8), after 1\n"
        "6: native all_gather out[5, 10) -> out[0, 10) out_parts 0+5 5+5, after 0 3 5\n");
  CHECK(
      to_string(plans_of(uniform(consecutive({1, 1}), whole_vector(Collective::kBarrier, 0)))[0]) ==
      "mesh: 2 steps, scratch 0\n"
      "0: send nothing -> rank 1\n"
      "1: recv rank 1 -> nothing\n");
}
