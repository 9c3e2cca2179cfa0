#pragma once

#include <sched.h>

#include <array>
#include <chrono>
#include <cstdint>

#include "smddp/deadline.h"

namespace smddp {

// Ranks that share a processor although another one has room are moved apart.
//
// A scheduler that sees two threads take turns every few microseconds leaves them together for tens
// of milliseconds, because both are cache-hot and neither starves; an operation of one microsecond
// takes fifteen then. Sleeping for a moment does not help: in virtual machines a sleeper may wake
// on a busy processor although another one is idle. So the thread's affinity mask is narrowed and
// put back.

/// When a thread may look for a better place: seldom, and less and less often while it does not
/// help.
class Separator {
 public:
  bool may_move() noexcept;

 private:
  std::chrono::milliseconds pause_{0};
  Deadline::Clock::time_point next_{};
};

/// Processors to which the calling thread may move.
class RoomyProcessors {
 public:
  void add(std::uint32_t processor) noexcept { CPU_SET(processor, &mask_); }
  bool any() const noexcept { return CPU_COUNT(&mask_) > 0; }
  /// `any()` must hold.
  std::uint32_t first() const noexcept;
  /// Moves the calling thread to one of them and leaves its affinity mask as it was.
  void move_here() const noexcept;

 private:
  cpu_set_t mask_{};
};

/// How many ranks run on each processor.
class ProcessorLoad {
 public:
  void add(std::uint32_t processor) noexcept;
  /// Those that the calling thread may use and that have the fewest ranks, at least two less than
  /// `own`.
  RoomyProcessors better_than(std::uint32_t own) const noexcept;

 private:
  std::array<std::uint16_t, CPU_SETSIZE> ranks_{};
};

}  // namespace smddp
