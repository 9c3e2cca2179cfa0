#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "plan/algorithm.h"
#include "plan/algorithms/layout.h"
#include "plan/builder.h"

namespace smddp {

/// Native all_gather of the blocks of ranks `turn` * L ... of `host`; self brings `own`, the one of
/// its local rank (or nothing, where that host has fewer ranks). A rank alone has its block in
/// place.
void spread_blocks(PlanBuilder& plan, const Layout& layout, const std::vector<Part>& blocks,
                   int host, int turn, const Ready& own);

/// Between hosts of equal size: brings the blocks of the ranks with self's local rank here. Entry h
/// is the block of host h; `own` is self's.
using GatherLane =
    std::function<std::vector<Ready>(PlanBuilder& plan, const Layout& layout,
                                     const std::vector<Part>& blocks_by_host, const Range& own)>;

/// The frame of all_gather plans over hosts of equal size:
///
///   `gather_lane` among the ranks with one local rank --> native all_gather of each host's blocks
Plan all_gather_in_lanes(std::string_view name, const CollectiveSpec& spec, const Layout& layout,
                         const GatherLane& gather_lane);

Demand native_demand_of_all_gather(const CollectiveSpec& spec, const Placement& placement);

/// Elements of the largest block.
double largest_block(const CollectiveSpec& spec);

}  // namespace smddp
