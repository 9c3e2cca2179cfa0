#pragma once

#include <sched.h>

#include <cstdint>

#include "base/pause.h"

namespace smddp {

/// How a caller that drives its own operation waits: a few pauses, then it offers its processor to
/// others; after a while it is time to sleep.
class InlineWait {
 public:
  void reset() noexcept { pauses_ = yields_ = 0; }
  /// Whether the next turn is more than a pause. `crowded`: pausing would only keep those from
  /// running who are waited for.
  bool is_long(bool crowded) const noexcept { return crowded || pauses_ >= kPauses; }
  bool exhausted() const noexcept { return yields_ >= kYields; }
  /// One turn. True when it is time to look for deaths and deadlines: after so many yields, because
  /// each may take a time slice.
  bool step(bool crowded) noexcept {
    if (!is_long(crowded)) {
      ++pauses_;
      cpu_pause();
      return false;
    }
    ::sched_yield();
    ++yields_;
    return ++looks_ % kYieldsPerLook == 0;
  }

 private:
  static constexpr std::uint32_t kPauses = 64;
  static constexpr std::uint32_t kYields = 400;
  static constexpr std::uint32_t kYieldsPerLook = 32;

  std::uint32_t pauses_ = 0;
  std::uint32_t yields_ = 0;
  std::uint32_t looks_ = 0;
};

}  // namespace smddp
