#pragma once

#include <sched.h>

#include <chrono>
#include <cstdint>

namespace smddp {

/// What a sleeper does first: it offers its processor to others and looks again, because a
/// provider's descriptors cost more than a message takes. A thread that offers a processor which
/// others want gets it back after their time slices only; then it is better to sleep at once, for a
/// while.
class Yielding {
 public:
  void note_event() noexcept { turns_ = 0; }
  /// False when it is time to sleep.
  bool step() noexcept {
    if (turns_ == kTurns) return false;
    if (sleeps_ > 0) {
      --sleeps_;
      return false;
    }
    ++turns_;
    const auto begin = Clock::now();
    ::sched_yield();
    if (Clock::now() - begin > kLongest) sleeps_ = kSleeps;
    return true;
  }

 private:
  using Clock = std::chrono::steady_clock;

  static constexpr std::uint32_t kTurns = 50;
  static constexpr std::uint32_t kSleeps = 1000;
  static constexpr std::chrono::microseconds kLongest{50};

  std::uint32_t turns_ = 0;   ///< since something came
  std::uint32_t sleeps_ = 0;  ///< to come without offering before
};

}  // namespace smddp
