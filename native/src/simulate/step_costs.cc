#include "simulate/step_costs.h"

#include <algorithm>

namespace smddp {
namespace {

std::size_t native_count(const NativeStep& step) {
  // Each rank adds its slice of all inputs, and fetches all other slices of the result.
  const bool both_ways = step.collective == Collective::kAllReduce;
  return both_ways ? step.in.count + step.out.count : std::max(step.in.count, step.out.count);
}

std::size_t count_of(const Step& step) {
  if (step.kind == StepKind::kRecv) return step.target.count;
  if (step.kind == StepKind::kNative) return native_count(step.native);
  std::size_t count = 0;
  for (const Range& source : step.sources) count += source.count;
  return count;
}

}  // namespace

double bytes_of(const Step& step, DType dtype) {
  return static_cast<double>(count_of(step) * size_of(dtype));
}

double work_seconds(const Step& step, double bytes, const Costs& costs) {
  if (step.kind == StepKind::kNative) return costs.native_step + bytes * costs.native;
  return bytes * costs.reduce;
}

}  // namespace smddp
