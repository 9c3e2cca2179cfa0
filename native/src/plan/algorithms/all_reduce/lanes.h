#pragma once

#include <functional>
#include <string_view>

#include "plan/algorithm.h"
#include "plan/algorithms/layout.h"
#include "plan/builder.h"
#include "plan/partition.h"

namespace smddp {

/// What is left of an all_reduce for the ranks of one lane: `target` (in `out`) is to hold the
/// reduction over hosts of their `partial`, which is a partial sum or as_share. Both have the same
/// count; in place they may be the same memory, so `target` is written only when nobody needs that
/// part of `partial` any more.
struct LaneReduction {
  Ready partial;
  Range target;
  Reduction reduction;
};

/// Carries out one lane; returns what completes `target`.
using ReduceLane =
    std::function<Steps(PlanBuilder& plan, const Layout& layout, const LaneReduction& lane)>;

/// The frame of all all_reduce plans over several hosts:
///
///   in of the host's ranks --native reduce_scatter--> lanes --`reduce_lane` between the hosts-->
///   lanes of the result --native all_gather--> out of the host's ranks
Plan all_reduce_in_lanes(std::string_view name, const CollectiveSpec& spec, const Layout& layout,
                         const ReduceLane& reduce_lane);

/// The native steps of the frame.
Demand native_demand_of_all_reduce(const CollectiveSpec& spec, const Placement& placement);

}  // namespace smddp
