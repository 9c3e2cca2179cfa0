#include "plan/algorithms/broadcast/lanes.h"

#include <utility>

namespace smddp {
namespace {

/// On the root's host: gives the vector to all its ranks; returns the lane of self to send from.
Ready fill_host(PlanBuilder& plan, const Layout& layout, const CollectiveSpec& spec) {
  const bool is_root = layout.self() == spec.root;
  const Range in{Space::kIn, 0, spec.count};
  const Range out{Space::kOut, 0, spec.count};
  Steps here;
  if (layout.alone()) {
    plan.copy(in, out);
  } else {
    NativeStep step;
    step.collective = Collective::kBroadcast;
    if (is_root) step.in = in;
    step.out = out;
    step.root = layout.local_rank_of(spec.root);
    here.add(plan.native(std::move(step)));
  }
  // The root need not wait for its neighbours.
  return is_root ? Ready{in, {}} : Ready{out, here};
}

}  // namespace

Plan broadcast_in_lanes(PlanBuilder plan, const CollectiveSpec& spec, const Layout& layout,
                        const SpreadLane& spread_lane) {
  const int root_host = layout.host_of(spec.root);
  const bool is_source = layout.host() == root_host;
  Ready whole{{Space::kOut, 0, spec.count}, {}};
  if (is_source) whole = fill_host(plan, layout, spec);
  Steps arrived;
  if (layout.is_lane()) {
    const Part lane = share_of(spec.count, layout.lanes(), layout.local());
    arrived = spread_lane(plan, layout, {root_host, {slice(whole.range, lane), whole.ready}});
  }
  if (!is_source) spread_lanes(plan, layout, {Space::kOut, 0, spec.count}, arrived);
  return std::move(plan).finish();
}

Demand native_demand_of_broadcast(const CollectiveSpec& spec, const Placement& placement) {
  if (placement.hosts() == placement.world()) return {};
  return {.native_steps = 2, .native = 2.0 * static_cast<double>(spec.count)};
}

}  // namespace smddp
