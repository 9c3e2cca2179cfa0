#pragma once

#include "plan/algorithm.h"

namespace smddp {

/// What gather and scatter take: every block of another host passes the root's link once.
inline Demand demand_of_rooted_blocks(const CollectiveSpec& spec, const Placement& placement) {
  const double n = static_cast<double>(total_of(blocks_of(spec.counts)));
  const double ranks = placement.world();
  const double here = static_cast<double>(placement.ranks_on(placement.host_of(spec.root)).size());
  return {.hops = 1,
          .messages = ranks - here,
          .wire = n * (ranks - here) / ranks,
          .piece = n / ranks,
          .native_steps = here > 1 ? 1.0 : 0.0,
          .native = n * here / ranks};
}

}  // namespace smddp
