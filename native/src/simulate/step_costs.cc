#include "simulate/step_costs.h"

#include <algorithm>

namespace smddp {
namespace {

std::size_t bytes_in(const Range& range, const ElementTypes& types) {
  return range.count * size_of(types.of(range));
}

std::size_t native_bytes(const NativeStep& step, const ElementTypes& types) {
  const std::size_t in = bytes_in(step.in, types);
  const std::size_t out = bytes_in(step.out, types);
  // Each rank adds its slice of all inputs, and fetches all other slices of the result.
  const bool both_ways = step.collective == Collective::kAllReduce;
  return both_ways ? in + out : std::max(in, out);
}

std::size_t bytes_touched(const Step& step, const ElementTypes& types) {
  if (step.kind == StepKind::kRecv) return bytes_in(step.target, types);
  if (step.kind == StepKind::kNative) return native_bytes(step.native, types);
  std::size_t bytes = 0;
  for (const Range& source : step.sources) bytes += bytes_in(source, types);
  return bytes;
}

}  // namespace

double bytes_of(const Step& step, const ElementTypes& types) {
  return static_cast<double>(bytes_touched(step, types));
}

double work_seconds(const Step& step, double bytes, const Costs& costs) {
  if (step.kind == StepKind::kNative) return costs.native_step + bytes * costs.native;
  return bytes * costs.reduce;
}

}  // namespace smddp
