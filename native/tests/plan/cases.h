#pragma once

#include <cstddef>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "plan/algorithm.h"
#include "plan/plan.h"
#include "plan/planner.h"
#include "topology/placement.h"

namespace smddp::test {

/// One collective as all ranks call it. `specs[r]` is that of rank r; they differ only in
/// all_to_all.
struct Case {
  Placement placement;
  std::vector<CollectiveSpec> specs;
  const Algorithm* algorithm = nullptr;  ///< over several hosts

  int world() const { return placement.world(); }
  /// "all_reduce by mesh, average 24 elements on hosts 0 0 1"
  std::string name() const;
};

/// Hosts with the given numbers of consecutive ranks: {3, 1} is 0 0 0 1.
Placement consecutive(const std::vector<int>& ranks_per_host);

/// Starts the same in all tests of a run. Prints the seed once; SMDDP_TEST_SEED repeats a run.
std::mt19937 random_of_this_run();

/// One host, all on different hosts, two and three hosts in even and uneven cuts, interleaved
/// ranks, hosts of 2, 3, 4 and 8 ranks, two random ones. No placement twice.
std::vector<Placement> placements(int world, std::mt19937& random);

/// Every collective with every root (above 9 ranks: three), sum and average, no, few and many
/// elements, block counts that are equal, uneven with zeros, all zero, and all on one rank. Larger
/// worlds get fewer counts. Over several hosts each with all algorithms that suit.
void for_each_case(const Placement& placement, const std::function<void(const Case&)>& visit);

/// The same spec on all ranks; over several hosts by the direct schedule.
Case uniform(const Placement& placement, const CollectiveSpec& spec);

/// The same on bfloat16, with partial sums in float32.
Case with_wide_partials(Case the_case);

std::vector<Plan> plans_of(const Case& the_case);

}  // namespace smddp::test
