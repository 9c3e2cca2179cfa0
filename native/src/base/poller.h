#pragma once

#include "smddp/deadline.h"
#include "smddp/status.h"

#include "base/unique_fd.h"

namespace smddp {

/// The descriptors whose events wake a sleeping engine thread. Registration is edge-triggered:
/// whoever wakes looks at everything once, so no event needs to be attributed to its source.
class Poller {
 public:
  static Result<Poller> open();

  Status add(int fd);
  /// Takes a descriptor whose events wake only a sleep before which it was armed.
  Status enroll(int fd);
  /// For the next event, also one that is there already.
  void arm(int fd) noexcept;
  void remove(int fd) noexcept;  ///< before the descriptor is closed
  /// Sleeps until an event or the deadline, at most one second. Returns at once on a signal.
  void sleep(Deadline deadline) noexcept;

 private:
  explicit Poller(UniqueFd epoll) : epoll_(std::move(epoll)) {}
  UniqueFd epoll_;
};

}  // namespace smddp
