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
  /// One turn. True when it is time to look for deaths and deadlines: after so many yields, because
  /// each may take a time slice.
  bool step() noexcept {
    const bool yields = is_long();
    ++turns_;
    if (!yields) {
      cpu_pause();
      return false;
    }
    ::sched_yield();
    return ++yields_ % kYieldsPerLook == 0;
  }

 private:
  static constexpr std::uint32_t kSpins = 64;
  static constexpr std::uint32_t kYields = 400;
  static constexpr std::uint32_t kYieldsPerLook = 32;

  std::uint32_t turns_ = 0;
  std::uint32_t yields_ = 0;
};

}  // namespace smddp
