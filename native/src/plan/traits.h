#pragma once

#include "smddp/types.h"

namespace smddp {

/// Whether the collective combines contributions.
inline bool is_reducing(Collective collective) {
  return collective == Collective::kAllReduce || collective == Collective::kReduce ||
         collective == Collective::kReduceScatter;
}

/// Whether the operation depends on the order of the contributions where they are floating point.
inline bool adds(ReduceOp op) {
  return op == ReduceOp::kSum || op == ReduceOp::kAverage || op == ReduceOp::kProduct;
}

/// Whether one rank is the source or the target.
inline bool is_rooted(Collective collective) {
  return collective == Collective::kReduce || collective == Collective::kBroadcast ||
         collective == Collective::kGather || collective == Collective::kScatter;
}

/// Whether ranks have blocks whose sizes are the same `counts` on all of them.
inline bool has_blocks(Collective collective) {
  return collective == Collective::kAllGather || collective == Collective::kReduceScatter ||
         collective == Collective::kGather || collective == Collective::kScatter;
}

}  // namespace smddp
