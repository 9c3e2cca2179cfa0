#pragma once

#include <functional>
#include <string_view>

#include "plan/algorithm.h"
#include "plan/algorithms/layout.h"
#include "plan/builder.h"

namespace smddp {

/// One lane on its way to the root's host, which alone has a `target`. `partial` is a partial sum
/// or as_share. On a host with one rank `target` is `out`, which may be the memory of `partial`.
struct LaneSink {
  int root_host;
  Ready partial;
  Range target;
  Reduction reduction;
};

/// Adds up one lane; returns what completes `target`, and nothing on other hosts.
using CollectLane =
    std::function<Steps(PlanBuilder& plan, const Layout& layout, const LaneSink& sink)>;

/// The frame of all reduce plans over several hosts:
///
///   in of each host's ranks --native reduce_scatter--> lanes --`collect_lane`-->
///   lanes of the root's host --native gather--> root's out
Plan reduce_in_lanes(PlanBuilder plan, const CollectiveSpec& spec, const Layout& layout,
                     const CollectLane& collect_lane);

Demand native_demand_of_reduce(const CollectiveSpec& spec, const Placement& placement);

}  // namespace smddp
