// Errors of whole plans that no single damage makes: each plan here is written by hand to be wrong
// in one way.
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "plan/builder.h"
#include "plan/cases.h"
#include "plan/validate.h"

using namespace smddp;
using namespace smddp::test;

namespace {

CollectiveSpec all_reduce_of(std::size_t count) {
  CollectiveSpec spec;
  spec.collective = Collective::kAllReduce;
  spec.count = count;
  return spec;
}

std::string verdict(const std::vector<Plan>& plans, const CollectiveSpec& spec,
                    const Placement& placement) {
  return validate_plans(plans, uniform(placement, spec).specs, placement, false).message();
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// Both ranks send all of `in`, receive into scratch and add; `own_first` gives the order.
Plan exchange_all(std::size_t count, Rank peer, bool own_first, bool wait_before_send) {
  PlanBuilder plan("handmade");
  const Range in{Space::kIn, 0, count};
  const Range received = plan.scratch(count);
  const StepId recv = plan.recv(peer, received);
  wait_before_send ? plan.send(peer, in, {recv}) : plan.send(peer, in);
  std::vector<Range> sources{in, received};
  if (!own_first) std::swap(sources[0], sources[1]);
  plan.reduce(sources, {Space::kOut, 0, count}, {}, {recv});
  return std::move(plan).finish();
}

/// The same between two hosts, after a native all_reduce in each.
Plan exchange_partials(std::size_t count, Rank peer, bool own_first) {
  PlanBuilder plan("handmade");
  NativeStep native;
  native.collective = Collective::kAllReduce;
  native.in = {Space::kIn, 0, count};
  native.out = plan.scratch(count);
  const Range partial = native.out;
  const StepId reduced = plan.native(std::move(native));
  const Range received = plan.scratch(count);
  const StepId recv = plan.recv(peer, received);
  plan.send(peer, partial, {reduced});
  std::vector<Range> sources{partial, received};
  if (!own_first) std::swap(sources[0], sources[1]);
  plan.reduce(sources, {Space::kOut, 0, count}, {}, {reduced, recv});
  return std::move(plan).finish();
}

CollectiveSpec wide_all_reduce_of(std::size_t count) {
  CollectiveSpec spec = all_reduce_of(count);
  spec.dtype = DType::kBFloat16;
  spec.partials = Partials::kFloat32;
  return spec;
}

/// Two hosts of two ranks: a native reduce_scatter in each, then both exchange their lanes, whose
/// sum goes to both ranks. What is damaged is told by the number of a step.
Plan exchange_lanes(const CollectiveSpec& spec, Rank self) {
  PlanBuilder plan("handmade", spec);
  const Part lane{static_cast<std::size_t>(self % 2) * spec.count / 2, spec.count / 2};
  NativeStep scatter{.collective = Collective::kReduceScatter, .in = {Space::kIn, 0, spec.count}};
  scatter.in_parts = {{0, spec.count / 2}, {spec.count / 2, spec.count / 2}};
  scatter.out = plan.partials(lane.count);
  const Range mine = scatter.out;
  const StepId scattered = plan.native(std::move(scatter));  // 0
  const Rank peer = (self + 2) % 4;
  plan.send(peer, mine, {scattered});                // 1
  const Range received = plan.partials(lane.count);  // behind the own one
  const StepId recv = plan.recv(peer, received);     // 2
  std::vector<Range> sources{mine, received};
  if (self >= 2) std::swap(sources[0], sources[1]);
  const Range sum{Space::kOut, lane.offset, lane.count};
  const StepId summed = plan.reduce(sources, sum, {}, {scattered, recv});  // 3
  NativeStep gather{.collective = Collective::kAllGather, .in = sum};
  gather.out = {Space::kOut, 0, spec.count};
  gather.out_parts = {{0, spec.count / 2}, {spec.count / 2, spec.count / 2}};
  plan.native(std::move(gather), {summed});  // 4
  return std::move(plan).finish();
}

/// What the validator says of these plans once `damage` has been done to each of them.
std::string verdict_of_lanes(const CollectiveSpec& spec,
                             const std::function<void(Plan&, Rank)>& damage) {
  std::vector<Plan> plans;
  for (Rank self = 0; self < 4; ++self) {
    plans.push_back(exchange_lanes(spec, self));
    damage(plans.back(), self);
  }
  return verdict(plans, spec, consecutive({2, 2}));
}

}  // namespace

TEST_CASE("partial sums may be wider than the elements, and are rounded once") {
  const auto nothing = [](Plan&, Rank) {};
  CHECK(verdict_of_lanes(wide_all_reduce_of(8), nothing) == "");
  CHECK(verdict_of_lanes(all_reduce_of(8), nothing) == "");
}

TEST_CASE("a partial sum that is taken for elements is rejected") {
  const auto move = [](Range& range) { range.space = Space::kScratch; };
  const auto received_short = [&](Plan& plan, Rank) {
    plan.scratch_count = 8;
    move(plan.steps[2].target);
    move(plan.steps[3].sources[0]);
    move(plan.steps[3].sources[1]);
  };
  CHECK(contains(verdict_of_lanes(wide_all_reduce_of(8), received_short),
                 "the message that arrives holds float32"));
  const auto added_short = [&](Plan& plan, Rank) {
    plan.scratch_count = 8;
    move(plan.steps[3].sources[0]);
  };
  CHECK(contains(verdict_of_lanes(wide_all_reduce_of(8), added_short),
                 "adds elements of different dtypes"));
  const auto copied = [](Plan& plan, Rank) {
    plan.steps[3].kind = StepKind::kCopy;
    plan.steps[3].sources.pop_back();
  };
  CHECK(contains(verdict_of_lanes(wide_all_reduce_of(8), copied), "rounds without adding"));
  const auto gathered = [](Plan& plan, Rank self) {
    plan.steps[4].native.in = {Space::kPartials, self < 2 ? 0U : 4U, 4};
  };
  CHECK(contains(verdict_of_lanes(wide_all_reduce_of(8), gathered), "changes the dtype"));
}

TEST_CASE("partial sums in the wrong dtype, or rounded before the end, are rejected") {
  CHECK(contains(verdict_of_lanes(wide_all_reduce_of(8),
                                  [](Plan& plan, Rank) { plan.partials = DType::kBFloat16; }),
                 "rank 0: partial sums are to be float32"));
  CHECK(contains(
      verdict_of_lanes(all_reduce_of(8), [](Plan& plan, Rank) { plan.partials = DType::kFloat64; }),
      "rank 0: partial sums are to be float32"));
  const auto in_scratch = [](Plan& plan, Rank) {
    std::swap(plan.scratch_count, plan.partial_count);
    for (Step& step : plan.steps) {
      for (Range& source : step.sources) source.space = Space::kScratch;
    }
    plan.steps[0].native.out.space = plan.steps[2].target.space = Space::kScratch;
  };
  CHECK(verdict_of_lanes(all_reduce_of(8), in_scratch) == "");
  CHECK(contains(verdict_of_lanes(wide_all_reduce_of(8), in_scratch),
                 "not rounded exactly once: ((r0 r1)~ (r2 r3)~)~"));
}

TEST_CASE("a correct plan that the planner does not make is accepted") {
  const Placement placement = consecutive({1, 1});
  CHECK(verdict({exchange_all(5, 1, true, false), exchange_all(5, 0, false, false)},
                all_reduce_of(5), placement) == "");
}

TEST_CASE("two ranks that wait for each other are a deadlock") {
  const Placement placement = consecutive({1, 1});
  const std::string text =
      verdict({exchange_all(5, 1, true, true), exchange_all(5, 0, false, true)}, all_reduce_of(5),
              placement);
  CHECK(contains(text, "deadlock"));
  CHECK(contains(text, "rank 0, step 0 (recv rank 1 -> scratch[0, 5))"));
}

TEST_CASE("sums in another than the canonical order are rejected where the placement is aligned") {
  const Placement placement = consecutive({1, 1});
  const std::string text =
      verdict({exchange_all(5, 1, false, false), exchange_all(5, 0, true, false)}, all_reduce_of(5),
              placement);
  CHECK(contains(text, "not the canonical order: (r1 r0)"));
}

TEST_CASE("other bits on other ranks are rejected on any placement") {
  const Placement placement = consecutive({3, 3});
  std::vector<Plan> same;
  std::vector<Plan> different;
  for (Rank rank = 0; rank < 6; ++rank) {
    same.push_back(exchange_partials(4, (rank + 3) % 6, rank < 3));
    different.push_back(exchange_partials(4, (rank + 3) % 6, true));
  }
  CHECK(verdict(same, all_reduce_of(4), placement) == "");
  CHECK(contains(verdict(different, all_reduce_of(4), placement),
                 "bits differ from those of rank 0"));
}

TEST_CASE("unordered steps that touch the same memory are a race") {
  const Placement placement = consecutive({1, 1});
  std::vector<Plan> plans{exchange_all(5, 1, true, false), exchange_all(5, 0, false, false)};
  plans[0].steps.back().after.clear();
  CHECK(contains(verdict(plans, all_reduce_of(5), placement), "rank 0: race between step 0"));
}

TEST_CASE("a message between ranks of one host is rejected") {
  const Placement placement = Placement::one_host(2);
  CHECK(contains(verdict({exchange_all(5, 1, true, false), exchange_all(5, 0, false, false)},
                         all_reduce_of(5), placement),
                 "peer is not a rank of another host"));
}

TEST_CASE("a step that waits for itself or a later one is rejected") {
  std::vector<Plan> plans{exchange_all(5, 1, true, false), exchange_all(5, 0, false, false)};
  plans[1].steps[0].after = {0};
  CHECK(contains(verdict(plans, all_reduce_of(5), consecutive({1, 1})), "waits for a later step"));
}
