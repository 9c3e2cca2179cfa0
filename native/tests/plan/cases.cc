#include "plan/cases.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <sstream>

#include <doctest/doctest.h>

namespace smddp::test {
namespace {

using Counts = std::vector<std::size_t>;

std::size_t at(int index) { return static_cast<std::size_t>(index); }

unsigned choose_seed() {
  const char* text = std::getenv("SMDDP_TEST_SEED");
  const unsigned seed = text != nullptr ? static_cast<unsigned>(std::strtoul(text, nullptr, 10))
                                        : std::random_device{}();
  MESSAGE("SMDDP_TEST_SEED=", seed);
  return seed;
}

std::vector<int> roots_of(int world) {
  if (world > 9) return {0, world / 2, world - 1};
  std::vector<int> roots(at(world));
  std::iota(roots.begin(), roots.end(), 0);
  return roots;
}

/// Elements of whole-vector collectives: none, fewer than shards, a multiple of most of them, a
/// prime.
Counts vector_counts(int world) { return world > 9 ? Counts{0, 7, 97} : Counts{0, 1, 7, 24, 97}; }

/// Elements by rank.
std::vector<Counts> block_counts(int world) {
  Counts uneven(at(world));
  for (int rank = 0; rank < world; ++rank) uneven[at(rank)] = at((rank * 3 + 2) % 5);  // some are 0
  Counts only_last(at(world - 1), 0);
  only_last.push_back(5);
  return {Counts(at(world), 3), uneven, Counts(at(world), 0), only_last};
}

void visit_whole_vectors(const Placement& placement,
                         const std::function<void(const Case&)>& visit) {
  for (const std::size_t count : vector_counts(placement.world())) {
    CollectiveSpec spec;
    spec.count = count;
    for (const ReduceOp op : {ReduceOp::kSum, ReduceOp::kAverage}) {
      spec.op = op;
      spec.root = 0;
      spec.collective = Collective::kAllReduce;
      visit(uniform(placement, spec));
      for (const int root : roots_of(placement.world())) {
        spec.root = root;
        spec.collective = Collective::kReduce;
        visit(uniform(placement, spec));
      }
    }
    for (const int root : roots_of(placement.world())) {
      spec.op = ReduceOp::kSum;
      spec.root = root;
      spec.collective = Collective::kBroadcast;
      visit(uniform(placement, spec));
    }
  }
}

void visit_blocks(const Placement& placement, const std::function<void(const Case&)>& visit) {
  for (const Counts& counts : block_counts(placement.world())) {
    CollectiveSpec spec;
    spec.counts = counts;
    spec.collective = Collective::kAllGather;
    visit(uniform(placement, spec));
    spec.collective = Collective::kReduceScatter;
    visit(uniform(placement, spec));
    spec.op = ReduceOp::kAverage;
    visit(uniform(placement, spec));
    spec.op = ReduceOp::kSum;
    for (const int root : roots_of(placement.world())) {
      spec.root = root;
      for (const Collective collective : {Collective::kGather, Collective::kScatter}) {
        spec.collective = collective;
        visit(uniform(placement, spec));
      }
    }
  }
}

/// `elements(from, to)` go from one rank to another.
Case exchange(const Placement& placement, const std::function<std::size_t(int, int)>& elements) {
  Case the_case{placement, {}, nullptr};
  for (int self = 0; self < placement.world(); ++self) {
    CollectiveSpec spec;
    spec.collective = Collective::kAllToAll;
    for (int other = 0; other < placement.world(); ++other) {
      spec.send_counts.push_back(elements(self, other));
      spec.counts.push_back(elements(other, self));
    }
    the_case.specs.push_back(spec);
  }
  if (placement.hosts() > 1) the_case.algorithm = find_algorithm(Collective::kAllToAll, "mesh");
  return the_case;
}

}  // namespace

std::string Case::name() const {
  const CollectiveSpec& spec = specs[0];
  std::ostringstream text;
  text << name_of(spec.collective);
  if (algorithm != nullptr) text << " by " << algorithm->name << ',';
  text << ' ' << name_of(spec.op) << ' ' << spec.count << " elements";
  if (spec.partials == Partials::kFloat32) text << ", partial sums in float32";
  if (!spec.counts.empty()) text << ", counts";
  for (const std::size_t count : spec.counts) text << ' ' << count;
  text << ", root " << spec.root << ", on hosts";
  for (Rank rank = 0; rank < world(); ++rank) text << ' ' << placement.host_of(rank);
  return text.str();
}

Placement consecutive(const std::vector<int>& ranks_per_host) {
  std::vector<int> hosts;
  for (std::size_t host = 0; host < ranks_per_host.size(); ++host) {
    hosts.insert(hosts.end(), at(ranks_per_host[host]), static_cast<int>(host));
  }
  return Placement(hosts);
}

std::mt19937 random_of_this_run() {
  static const unsigned seed = choose_seed();
  return std::mt19937(seed);
}

std::vector<Placement> placements(int world, std::mt19937& random) {
  std::vector<Placement> all;
  const auto add = [&](const std::function<int(int)>& host_of) {
    std::vector<int> hosts;
    for (int rank = 0; rank < world; ++rank) hosts.push_back(host_of(rank));
    const Placement placement(hosts);
    if (std::find(all.begin(), all.end(), placement) == all.end()) all.push_back(placement);
  };
  add([](int) { return 0; });
  add([](int rank) { return rank; });
  for (const int first : {1, world / 2, world * 3 / 4, world - 1}) {
    add([first](int rank) { return rank < first ? 0 : 1; });
  }
  add([world](int rank) { return rank < world / 3 ? 0 : rank < world - 2 ? 1 : 2; });
  for (const int hosts : {2, 3}) add([hosts](int rank) { return rank % hosts; });
  for (const int ranks : {2, 3, 4, 8}) add([ranks](int rank) { return rank / ranks; });
  for (int round = 0; round < 2; ++round) {
    const int hosts = 1 + static_cast<int>(random() % static_cast<unsigned>(world));
    add([&](int) { return static_cast<int>(random() % static_cast<unsigned>(hosts)); });
  }
  return all;
}

void for_each_case(const Placement& placement, const std::function<void(const Case&)>& visit_case) {
  const auto visit = [&visit_case](Case the_case) {
    if (the_case.algorithm == nullptr) return visit_case(the_case);
    const CollectiveSpec& spec = the_case.specs[0];
    for (const Algorithm* algorithm : algorithms()) {
      if (algorithm->collective != spec.collective) continue;
      if (!algorithm->suits(spec, the_case.placement)) continue;
      the_case.algorithm = algorithm;
      visit_case(the_case);
    }
  };
  visit_whole_vectors(placement, visit);
  visit_blocks(placement, visit);
  visit(exchange(placement, [](int, int) { return 2; }));
  visit(exchange(placement, [](int from, int to) { return at((from * 2 + to * 3) % 4); }));
  visit(exchange(placement, [](int, int) { return 0; }));
  CollectiveSpec barrier;
  barrier.collective = Collective::kBarrier;
  visit(uniform(placement, barrier));
}

Case uniform(const Placement& placement, const CollectiveSpec& spec) {
  const bool one_host = placement.hosts() == 1;
  return {placement, std::vector<CollectiveSpec>(at(placement.world()), spec),
          one_host ? nullptr : find_algorithm(spec.collective, "mesh")};
}

Case with_wide_partials(Case the_case) {
  for (CollectiveSpec& spec : the_case.specs) {
    spec.dtype = DType::kBFloat16;
    spec.partials = Partials::kFloat32;
  }
  return the_case;
}

std::vector<Plan> plans_of(const Case& the_case) {
  std::vector<Plan> plans;
  for (Rank rank = 0; rank < the_case.world(); ++rank) {
    const CollectiveSpec& spec = the_case.specs[at(rank)];
    plans.push_back(the_case.algorithm == nullptr
                        ? make_plan(spec, the_case.placement, Policy{}, rank)
                        : the_case.algorithm->plan(spec, Layout(the_case.placement, rank)));
  }
  return plans;
}

}  // namespace smddp::test
