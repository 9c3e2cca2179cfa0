#pragma once

#include <cstddef>
#include <vector>

#include "smddp/types.h"

#include "plan/plan.h"
#include "topology/placement.h"

namespace smddp {

/// Everything a plan depends on besides the placement. All counts are elements.
///   all_reduce, reduce, broadcast: `count` elements in and out.
///   all_gather: rank r contributes counts[r]; out holds their concatenation in rank order.
///   reduce_scatter: in holds the concatenation, rank r receives counts[r].
///   all_to_all: send_counts[r] go to rank r (in = their concatenation), counts[r] come from it.
///   gather: all_gather whose `out` only the root has.
///   scatter: in of the root holds the concatenation, rank r receives counts[r].
///   barrier: nothing.
struct CollectiveSpec {
  Collective collective = Collective::kBarrier;
  ReduceOp op = ReduceOp::kSum;
  std::size_t count = 0;
  std::vector<std::size_t> counts;
  std::vector<std::size_t> send_counts;
  Rank root = 0;

  friend bool operator==(const CollectiveSpec&, const CollectiveSpec&) = default;
};

/// The steps of rank `self`. Pure; arguments are valid (the engine checked them). In-place forms
/// are legal: in == out (all_reduce, reduce, broadcast), in == out + offset of self (all_gather,
/// gather), out == in + offset of self (reduce_scatter, scatter); all_to_all is never in place.
/// `in` of non-roots of broadcast and scatter and `out` of non-roots of reduce and gather may be
/// missing altogether. kAverage divides by the world size exactly once per element.
Plan make_plan(const CollectiveSpec& spec, const Placement& placement, Rank self);

}  // namespace smddp
