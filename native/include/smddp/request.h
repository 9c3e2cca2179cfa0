#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "smddp/status.h"
#include "smddp/types.h"

namespace smddp {

class DevicePart;

/// One operation: a collective, or one side of a message between two ranks. Counts are elements;
/// buffers are contiguous host memory, borrowed until completion.
///
///   all_reduce      in, out: count
///   broadcast       out: count (root's `in` may be null: then out is sent); others' in is ignored
///   reduce          in: count; out: count on root, may be null elsewhere
///   all_gather      in: counts[rank]; out: sum of counts, in rank order
///   reduce_scatter  in: sum of counts, in rank order; out: counts[rank]
///   all_to_all      in: send_counts one after the other; out: counts one after the other
///   gather          in: counts[rank]; out: sum of counts on root, in rank order, null elsewhere
///   scatter         in: sum of counts on root, in rank order, null elsewhere; out: counts[rank]
///   barrier         nothing
///   send            in: count, to rank `peer`
///   recv            out: count, from rank `peer` or kAnyRank; meets the first send of that rank
///                   with the same `tag` that no earlier receive has met. dtype and count must be
///                   equal on both sides
///
/// Empty `counts` (`send_counts`) mean `count` for every rank. in == out is legal for all_reduce,
/// reduce and broadcast; all_gather, reduce_scatter, gather and scatter may use the caller's own
/// part of the larger buffer.
struct Request {
  Collective collective = Collective::kBarrier;
  MessageSide message = MessageSide::kNone;  ///< not kNone: `collective` is not looked at
  DType dtype = DType::kUint8;
  ReduceOp op = ReduceOp::kSum;
  Rank root = 0;
  Rank peer = 0;
  std::uint64_t tag = 0;
  const void* in = nullptr;
  void* out = nullptr;
  std::size_t count = 0;
  std::size_t whole = 0;  ///< elements of the operation that this is a piece of; 0: of none
  std::vector<std::size_t> counts;
  std::vector<std::size_t> send_counts;
  std::chrono::milliseconds timeout{0};  ///< 0: the communicator's
  bool synchronous = false;          ///< the caller waits at once: run in its thread when possible
  std::shared_ptr<void> keep_alive;  ///< dropped after completion, never on the engine thread
  /// Called exactly once when the operation is over: on a completion thread, or in the caller's
  /// thread before `submit` returns.
  std::function<void(const Status&)> on_complete;
  /// For synchronous operations: called at most once, in the caller's thread inside `submit`,
  /// before a wait of more than some microseconds. A caller that holds a lock may let others have
  /// it there.
  std::function<void()> before_waiting;
  std::shared_ptr<DevicePart> device_part;  ///< of a DeviceGroup's operations
  std::string name;  ///< what its user calls it, such as a variable's name; shown in errors
};

}  // namespace smddp
