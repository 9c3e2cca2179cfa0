#pragma once

#include <sched.h>

#include <algorithm>
#include <cstdint>

#include "base/pause.h"

namespace smddp {

/// How a caller that drives its own operation waits: a few pauses, then it offers its processor to
/// others; after a while it is time to sleep.
class InlineWait {
 public:
  void reset() noexcept { turns_ = 0; }
  /// Pausing would only keep others from running.
  void stop_pausing() noexcept { turns_ = std::max(turns_, kSpins); }
  /// The next steps are more than pauses.
  bool is_long() const noexcept { return turns_ >= kSpins; }
  bool exhausted() const noexcept { return turns_ >= kSpins + kYields; }
  /// A yield may take a time slice, so deaths and deadlines are looked at by their number.
  bool is_time_to_look() const noexcept { return is_long() && turns_ % kYieldsPerLook == 0; }
  void step() noexcept {
    if (is_long()) {
      ::sched_yield();
    } else {
      cpu_pause();
    }
    ++turns_;
  }

 private:
  static constexpr std::uint32_t kSpins = 64;
  static constexpr std::uint32_t kYields = 400;
  static constexpr std::uint32_t kYieldsPerLook = 32;

  std::uint32_t turns_ = 0;
};

}  // namespace smddp
