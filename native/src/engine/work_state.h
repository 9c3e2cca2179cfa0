#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "smddp/deadline.h"
#include "smddp/request.h"
#include "smddp/status.h"

#include "engine/mpsc_queue.h"

namespace smddp {

/// One queued operation and its outcome. The communicator holds a reference until the operation is
/// over; handles hold others.
class WorkState : public MpscNode {
 public:
  WorkState(Request operation, Deadline until) : request(std::move(operation)), deadline(until) {}

  Request request;  ///< the baton holder's once queued
  const Deadline deadline;
  Rank source = kAnyRank;           ///< of a receive: who sent; valid once done
  std::shared_ptr<WorkState> self;  ///< keeps it alive while it is queued or running

  bool is_done() const noexcept { return word_.load(std::memory_order_acquire) == kDone; }
  /// Valid once done.
  const Status& outcome() const noexcept { return outcome_; }

  void finish(Status outcome) noexcept;
  /// False when the deadline passed or a signal arrived first.
  bool wait(Deadline until) noexcept;

 private:
  static constexpr std::uint32_t kPending = 0;
  static constexpr std::uint32_t kSleeping = 1;  ///< pending, and somebody sleeps on the word
  static constexpr std::uint32_t kDone = 2;

  std::atomic<std::uint32_t> word_{kPending};
  Status outcome_;
};

}  // namespace smddp
