// Errors of whole plans that no single damage makes: each plan here is written by hand to be wrong
// in one way.
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

}  // namespace

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
