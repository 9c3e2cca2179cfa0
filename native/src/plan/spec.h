#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "smddp/types.h"

#include "base/native_step.h"

namespace smddp {

/// What partial sums are while they wait for the other hosts': elements of the call's dtype, or
/// float32 where that is shorter and they are rounded.
enum class Partials : std::uint8_t { kNative, kFloat32 };

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
  DType dtype = DType::kFloat32;
  ReduceOp op = ReduceOp::kSum;
  std::size_t count = 0;
  std::vector<std::size_t> counts;
  std::vector<std::size_t> send_counts;
  Rank root = 0;
  Partials partials = Partials::kNative;

  friend bool operator==(const CollectiveSpec&, const CollectiveSpec&) = default;
};

/// The reduction a collective asks for: an average is a sum that is divided by the world size.
Reduction reduction_of(const CollectiveSpec& spec, int world);

/// Whether a result is rounded each time that it is stored: a sum, average or product of float16 or
/// bfloat16, which are added in float32.
bool rounds_when_stored(ReduceOp op, DType dtype);

/// The dtype of the partial sums of a plan for `spec`.
DType partials_of(const CollectiveSpec& spec);

}  // namespace smddp
