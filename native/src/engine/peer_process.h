#pragma once

#include <atomic>
#include <cstddef>
#include <span>

#include "base/guarded_fd.h"
#include "memory/mapping.h"

namespace smddp {

/// What a process passes to another one on its host.
struct ProcessDescriptors {
  UniqueFd bell;   ///< eventfd
  UniqueFd heap;   ///< memory file of its registered heap
  UniqueFd pidfd;  ///< readable once the process is dead, whoever holds copies of its descriptors
};

/// Another process on this host: how to wake its engine thread, how to see that it has died, and
/// its registered memory. Thread-safe.
class PeerProcess {
 public:
  PeerProcess(UniqueFd bell, UniqueFd pidfd, Mapping heap)
      : bell_(std::move(bell)), pidfd_(std::move(pidfd)), heap_(std::move(heap)) {}

  void ring() noexcept;
  /// Asks the kernel; once true, stays true.
  bool has_died() noexcept;
  int pidfd() const noexcept { return pidfd_.get(); }
  std::span<std::byte> heap() const noexcept { return heap_.bytes(); }

 private:
  GuardedFd bell_;
  GuardedFd pidfd_;
  Mapping heap_;
  std::atomic<bool> dead_{false};
};

}  // namespace smddp
