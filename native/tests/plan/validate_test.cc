// Every plan that the planner makes is correct: worlds 1 to 33, all placements, collectives, roots
// and counts of cases.h, in place and not.
#include "plan/validate.h"

#include <algorithm>
#include <random>
#include <string>

#include <doctest/doctest.h>

#include "plan/cases.h"
#include "plan/traits.h"

using namespace smddp;
using namespace smddp::test;

namespace {

// Sanitizers look for errors in our code, not in plans, and are slow: every fourth world is enough.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kWorldStep = 4;
#else
constexpr int kWorldStep = 1;
#endif

/// Checks the case in place and not; returns how often.
int check(const Case& the_case) {
  const std::vector<Plan> plans = plans_of(the_case);
  for (const bool in_place : {false, true}) {
    const Status status = validate_plans(plans, the_case.specs, the_case.placement, in_place);
    if (status.ok()) continue;
    FAIL_CHECK(the_case.name(), std::string{in_place ? ", in place: " : ": "}, status.message());
  }
  return 2;
}

void check_all(int first_world, int last_world) {
  std::mt19937 random = random_of_this_run();
  int cases = 0;
  for (int world = first_world; world <= last_world; world += kWorldStep) {
    for (const Placement& placement : placements(world, random)) {
      for_each_case(placement, [&](const Case& the_case) { cases += check(the_case); });
    }
  }
  CHECK(cases > 1000);
}

void check_all_wide(int first_world, int last_world) {
  std::mt19937 random = random_of_this_run();
  int cases = 0;
  for (int world = first_world; world <= last_world; world += kWorldStep) {
    for (const Placement& placement : placements(world, random)) {
      for_each_case(placement, [&](const Case& the_case) {
        if (is_reducing(the_case.specs[0].collective)) cases += check(with_wide_partials(the_case));
      });
    }
  }
  CHECK(cases > 1000);
}

}  // namespace

TEST_CASE("all plans of worlds 1 to 8 are valid") { check_all(1, 8); }
TEST_CASE("all plans of worlds 9 to 20 are valid") { check_all(9, 20); }
TEST_CASE("all plans of worlds 21 to 33 are valid") { check_all(21, 33); }

TEST_CASE("with wide partial sums plans round once: worlds 1 to 9") { check_all_wide(1, 9); }
TEST_CASE("with wide partial sums plans round once: worlds 10 to 16") { check_all_wide(10, 16); }

TEST_CASE("vectors that go in segments") {
  for (const std::vector<int>& ranks : std::vector<std::vector<int>>{
           {1, 1}, {1, 1, 1}, {1, 1, 1, 1}, {2, 2}, {2, 3, 4}, {2, 1, 1, 2}, {2, 2, 2, 2}}) {
    const Placement placement = consecutive(ranks);
    const int lanes = placement.ranks_on_smallest_host();
    for (const int segments : {2, 3, 8}) {
      CollectiveSpec spec;
      spec.collective = Collective::kAllReduce;
      spec.dtype = DType::kFloat64;
      spec.op = ReduceOp::kAverage;
      spec.count = static_cast<std::size_t>(segments * lanes * placement.hosts()) * 8192 + 5;
      const Case the_case = uniform(placement, spec);
      check(with_wide_partials(the_case));
      CAPTURE(the_case.name());
      const std::vector<Plan> plans = plans_of(the_case);
      const Rank peer = placement.ranks_on(placement.hosts() - 1).front();
      const auto to_peer = [&](const Step& step) {
        return step.kind == StepKind::kSend && step.peer == peer;
      };
      CHECK(std::count_if(plans[0].steps.begin(), plans[0].steps.end(), to_peer) == 2 * segments);
      for (const bool in_place : {false, true}) {
        const Status verdict = validate_plans(plans, the_case.specs, placement, in_place);
        CHECK_MESSAGE(verdict.ok(), verdict.message());
      }
    }
  }
}

TEST_CASE("the largest world that fits") {
  CollectiveSpec spec;
  spec.collective = Collective::kAllReduce;
  spec.count = 130;
  const auto verdict = [&](const Placement& placement, bool in_place) {
    const Case the_case = uniform(placement, spec);
    return validate_plans(plans_of(the_case), the_case.specs, placement, in_place);
  };
  CHECK(verdict(consecutive(std::vector<int>(8, 8)), true).ok());
  CHECK(verdict(Placement::one_host(64), false).ok());
  CHECK(verdict(Placement::one_host(65), false).code() == StatusCode::kInvalidArgument);
}
