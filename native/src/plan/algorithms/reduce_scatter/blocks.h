#pragma once

#include "plan/algorithm.h"
#include "plan/algorithms/layout.h"
#include "plan/builder.h"

namespace smddp {

/// Native reduce_scatter over this host of the blocks of ranks `turn` * L ... of `host`, one for
/// each local rank. Returns the partial sum that falls to self; as_share, if self is alone here.
/// Its count is 0 when there is none.
Ready reduce_blocks(PlanBuilder& plan, const Layout& layout, const CollectiveSpec& spec, int host,
                    int turn);

Demand native_demand_of_reduce_scatter(const CollectiveSpec& spec, const Placement& placement);

}  // namespace smddp
