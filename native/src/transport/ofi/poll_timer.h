#pragma once

#include "base/guarded_fd.h"

namespace smddp {

/// Wakes a sleeper who waits for what no descriptor tells: soon, and later each time that nothing
/// has come.
class PollTimer {
 public:
  PollTimer();

  int descriptor() const noexcept { return fd_.get(); }  ///< -1 where the system refuses it
  /// The descriptor becomes readable after a while, not before.
  void start() noexcept;
  /// Something has come: the next time it is soon again.
  void note_event() noexcept { wait_ns_ = kShortestNs; }

 private:
  static constexpr long kShortestNs = 50'000;
  static constexpr long kLongestNs = 1'000'000;

  GuardedFd fd_;
  long wait_ns_ = kShortestNs;
};

}  // namespace smddp
