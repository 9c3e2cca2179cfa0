#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "smddp/types.h"

namespace smddp {

/// Which buffer a range lies in. Offsets are relative, so one plan serves any buffers. The buffer
/// says what its elements are: kPartials holds sums of some ranks' contributions, in the plan's
/// dtype for them, and the others elements of the call's dtype.
enum class Space : std::uint8_t { kNone, kIn, kOut, kScratch, kPartials };

/// Elements [offset, offset + count) of a buffer.
struct Range {
  Space space = Space::kNone;
  std::size_t offset = 0;
  std::size_t count = 0;
};

/// How contributions are combined. `divisor` > 1 divides the result once, after the last
/// combination.
struct Reduction {
  ReduceOp op = ReduceOp::kSum;  ///< never kAverage: the planner turns it into kSum with a divisor
  int divisor = 1;
};

/// Part of a range that belongs to one local rank; `offset` is relative to the range.
struct Part {
  std::size_t offset = 0;
  std::size_t count = 0;
};

/// One collective inside the group of ranks that share this host's memory; all of them run the same
/// native steps in the same order. Post-condition by collective (local ranks j = 0 .. L - 1):
///   kBarrier        nobody leaves before all have entered
///   kAllReduce      out[i] = reduction of all in[i]
///   kReduce         the same, on `root` only
///   kReduceScatter  local rank j: out = reduction over all ranks' in[in_parts[j]]
///   kBroadcast      out = root's in
///   kAllGather      out[out_parts[j]] = in of local rank j
///   kGather         the same, on `root` only
///   kScatter        local rank j: out = root's in[in_parts[j]]
///   kAllToAll       out[out_parts[j]] of rank k = in[in_parts[k]] of rank j
/// `in` and `out` may be the same memory or parts of it, as the in-place form of the collective has
/// it. Those of kReduceScatter may differ in dtype.
struct NativeStep {
  Collective collective = Collective::kBarrier;
  Range in;
  Range out;
  std::vector<Part> in_parts;   ///< by local rank; kReduceScatter, kScatter, kAllToAll
  std::vector<Part> out_parts;  ///< by local rank; kAllGather, kGather, kAllToAll
  int root = 0;                 ///< local rank
  Reduction reduction;
};

}  // namespace smddp
