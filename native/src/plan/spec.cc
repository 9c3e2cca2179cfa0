#include "plan/spec.h"

#include "plan/traits.h"

namespace smddp {

Reduction reduction_of(const CollectiveSpec& spec, int world) {
  if (spec.op == ReduceOp::kAverage) return {ReduceOp::kSum, world};
  return {spec.op, 1};
}

bool rounds_when_stored(ReduceOp op, DType dtype) {
  return adds(op) && (dtype == DType::kFloat16 || dtype == DType::kBFloat16);
}

DType partials_of(const CollectiveSpec& spec) {
  const bool wide = spec.partials == Partials::kFloat32 && is_reducing(spec.collective) &&
                    rounds_when_stored(spec.op, spec.dtype);
  return wide ? DType::kFloat32 : spec.dtype;
}

}  // namespace smddp
