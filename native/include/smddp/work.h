#pragma once

#include <chrono>
#include <memory>

#include "smddp/deadline.h"
#include "smddp/export.h"
#include "smddp/status.h"
#include "smddp/types.h"

namespace smddp {

class WorkState;

/// Handle of a submitted operation. Copyable; thread-safe.
class SMDDP_API Work {
 public:
  /// An operation that is over already.
  explicit Work(Status done) : done_(std::move(done)) {}
  explicit Work(std::shared_ptr<WorkState> state) : state_(std::move(state)) {}

  bool is_completed() const;
  /// The outcome; kAgain while it is not over.
  Status status() const;
  /// Of a receive that is over: who sent; kAnyRank for anything else.
  Rank source() const;
  /// Waits for the outcome, at most until `deadline`. Returns kAgain when the deadline passed or a
  /// signal arrived first; the operation goes on and the call may be repeated.
  Status wait(Deadline deadline) const;

 private:
  Status done_;
  std::shared_ptr<WorkState> state_;  ///< null: over, with outcome done_
};

}  // namespace smddp
