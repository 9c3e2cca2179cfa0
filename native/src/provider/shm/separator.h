#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>

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

/// How many ranks run on each processor.
class ProcessorLoad {
 public:
  void add(std::uint32_t processor) noexcept;
  /// A processor that the calling thread may use and that has at least two ranks less than `own`.
  std::optional<std::uint32_t> better_than(std::uint32_t own) const noexcept;

 private:
  static constexpr std::size_t kProcessors = 1024;  ///< as many as a cpu_set_t has
  std::array<std::uint16_t, kProcessors> ranks_{};
};

/// Moves the calling thread there and leaves its affinity mask as it was.
void move_to_processor(std::uint32_t processor) noexcept;

}  // namespace smddp
