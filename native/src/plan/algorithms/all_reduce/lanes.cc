#include "plan/algorithms/all_reduce/lanes.h"

#include <utility>

namespace smddp {

Plan all_reduce_in_lanes(std::string_view name, const CollectiveSpec& spec, const Layout& layout,
                         const ReduceLane& reduce_lane) {
  PlanBuilder plan{std::string{name}, spec};
  const Range out{Space::kOut, 0, spec.count};
  const Reduction reduction = reduction_of(spec, layout.world());
  const Ready partial = reduce_into_lanes(plan, layout, {Space::kIn, 0, spec.count}, reduction.op);
  Steps complete = partial.ready;
  if (layout.is_lane()) {
    complete = reduce_lane(plan, layout, {partial, lane_of(layout, out), reduction});
  }
  spread_lanes(plan, layout, out, complete);
  return std::move(plan).finish();
}

Demand native_demand_of_all_reduce(const CollectiveSpec& spec, const Placement& placement) {
  if (placement.hosts() == placement.world()) return {};
  return {.native_steps = 2, .native = 2.0 * static_cast<double>(spec.count)};
}

}  // namespace smddp
