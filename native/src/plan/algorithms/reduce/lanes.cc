#include "plan/algorithms/reduce/lanes.h"

#include <utility>

namespace smddp {
namespace {

/// On the root's host: brings the summed lanes together in its `out`.
void gather_lanes(PlanBuilder& plan, const Layout& layout, const CollectiveSpec& spec,
                  const Ready& lane) {
  if (layout.alone()) return;
  NativeStep gather;
  gather.collective = Collective::kGather;
  gather.root = layout.local_rank_of(spec.root);
  gather.out_parts = lane_parts(layout, spec.count);
  if (layout.self() == spec.root) gather.out = {Space::kOut, 0, spec.count};
  gather.in = lane.range;
  plan.native(std::move(gather), lane.ready);
}

}  // namespace

Plan reduce_in_lanes(PlanBuilder plan, const CollectiveSpec& spec, const Layout& layout,
                     const CollectLane& collect_lane) {
  const Reduction reduction = reduction_of(spec, layout.world());
  const Ready partial = reduce_into_lanes(plan, layout, {Space::kIn, 0, spec.count}, reduction.op);
  const int root_host = layout.host_of(spec.root);
  const bool is_sink = layout.host() == root_host;
  Ready sum{{}, partial.ready};
  if (layout.is_lane()) {
    Range target;
    if (is_sink)
      target =
          layout.alone() ? Range{Space::kOut, 0, spec.count} : plan.scratch(partial.range.count);
    sum = {target, collect_lane(plan, layout, {root_host, partial, target, reduction})};
  }
  if (is_sink) gather_lanes(plan, layout, spec, sum);
  return std::move(plan).finish();
}

Demand native_demand_of_reduce(const CollectiveSpec& spec, const Placement& placement) {
  if (placement.hosts() == placement.world()) return {};
  return {.native_steps = 2, .native = 2.0 * static_cast<double>(spec.count)};
}

}  // namespace smddp
