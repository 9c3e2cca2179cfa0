#include "plan/spec.h"

namespace smddp {

Reduction reduction_of(const CollectiveSpec& spec, int world) {
  if (spec.op == ReduceOp::kAverage) return {ReduceOp::kSum, world};
  return {spec.op, 1};
}

}  // namespace smddp
