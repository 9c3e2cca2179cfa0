#pragma once

#include <atomic>

#include "base/guarded_fd.h"

namespace smddp {

/// Another process on this host: how to wake its engine thread and how to see that it has died.
/// Thread-safe. The descriptors were passed by the process itself or by the leader of the host.
class PeerProcess {
 public:
  PeerProcess(UniqueFd bell, UniqueFd pidfd) : bell_(std::move(bell)), pidfd_(std::move(pidfd)) {}

  void ring() noexcept;
  /// Asks the kernel; once true, stays true.
  bool has_died() noexcept;
  int pidfd() const noexcept { return pidfd_.get(); }

 private:
  GuardedFd bell_;   ///< eventfd
  GuardedFd pidfd_;  ///< readable once the process is dead, whoever holds copies of its descriptors
  std::atomic<bool> dead_{false};
};

}  // namespace smddp
