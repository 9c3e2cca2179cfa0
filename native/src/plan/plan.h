#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "smddp/types.h"

#include "base/native_step.h"

namespace smddp {

enum class StepKind : std::uint8_t { kSend, kRecv, kReduce, kCopy, kNative };

/// kSend: sources[0] goes to `peer`.  kRecv: `target` is filled by `peer`.
/// kReduce: target = canonical tree sum of `sources` (equal counts, one dtype), then
///          `reduction.divisor`; the target may be one of the sources.
/// kCopy: target = sources[0], in the target's dtype, which holds it exactly.  kNative: `native`.
struct Step {
  StepKind kind = StepKind::kCopy;
  Rank peer = -1;
  Range target;
  std::vector<Range> sources;
  Reduction reduction;
  NativeStep native;
  std::vector<std::uint32_t> after;  ///< indices of earlier steps that must be complete
};

/// What one rank does for one collective: steps in an order in which each comes after those it
/// needs. Between two ranks the k-th send in step order meets the k-th receive in step order, and
/// the executor posts sends to one peer, and receives from one peer, in step order.
struct Plan {
  std::string algorithm;  ///< "native", "mesh"
  std::vector<Step> steps;
  std::size_t scratch_count = 0;     ///< elements
  std::size_t partial_count = 0;     ///< elements of kPartials
  DType partials = DType::kFloat32;  ///< what those are
};

/// What the elements of a plan's ranges are.
struct ElementTypes {
  DType dtype;     ///< of the call
  DType partials;  ///< of the plan's partial sums

  DType of(Space space) const { return space == Space::kPartials ? partials : dtype; }
  DType of(const Range& range) const { return of(range.space); }
};

/// For people, one line: "send scratch[0, 4) -> rank 2, after 0".
std::string to_string(const Step& step);
/// The same for all steps, after a headline.
std::string to_string(const Plan& plan);

}  // namespace smddp
