#pragma once

#include <functional>
#include <string_view>

#include "plan/algorithm.h"
#include "plan/algorithms/layout.h"
#include "plan/builder.h"

namespace smddp {

/// One lane on its way from the root's host: there it is in `lane` once that is ready; on other
/// hosts `lane` is where it goes.
struct LaneSource {
  int root_host;
  Ready lane;
};

/// Carries one lane to all hosts; returns what completes it on this one.
using SpreadLane =
    std::function<Steps(PlanBuilder& plan, const Layout& layout, const LaneSource& source)>;

/// The frame of all broadcast plans over several hosts:
///
///   root's in --native broadcast--> out of its host's ranks --`spread_lane` from its lanes-->
///   lanes of the other hosts --native all_gather--> out of their ranks
Plan broadcast_in_lanes(PlanBuilder plan, const CollectiveSpec& spec, const Layout& layout,
                        const SpreadLane& spread_lane);

Demand native_demand_of_broadcast(const CollectiveSpec& spec, const Placement& placement);

}  // namespace smddp
