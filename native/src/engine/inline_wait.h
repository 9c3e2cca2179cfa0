#pragma once

#include <sched.h>

#include <chrono>
#include <cstdint>

#include "base/pause.h"
#include "transport/transport.h"

namespace smddp {

/// How a caller that drives its own operation waits: a few pauses, then it offers its processor to
/// others, or sleeps where it waits for other hosts; after a while it is time to leave the
/// operation to the engine thread. Sleeping costs some 5 us for each message; a thread that offers
/// a processor which others want gets it back after their time slices only (and loses one of its
/// own, since Linux 6.18), where a sleeper runs at once.
class InlineWait {
 public:
  /// `between_hosts`: some of what is waited for comes over a network. Where ranks share
  /// processors too, the engine thread takes over soon: it can sleep until either comes.
  explicit InlineWait(bool between_hosts = false) noexcept : between_hosts_(between_hosts) {}

  void reset() noexcept { pauses_ = turns_ = 0; }
  /// Whether the next turn is more than a pause. `crowded`: pausing would only keep those from
  /// running who are waited for.
  bool is_long(bool crowded) const noexcept { return crowded || pauses_ >= kPauses; }
  bool exhausted(bool crowded = false) const noexcept {
    return turns_ >= (crowded && between_hosts_ ? kTurnsBetweenHosts : kTurns);
  }
  /// One turn. `news`: what brings all that is waited for and can sleep, or null. True when it is
  /// time to look for deaths and deadlines: after so many turns, because each may take a time
  /// slice.
  bool step(bool crowded, Transport* news) noexcept {
    if (!is_long(crowded)) {
      ++pauses_;
      cpu_pause();
      return false;
    }
    if (news == nullptr) {
      ::sched_yield();
      ++turns_;
    } else if (!news->sleep(kLongestSleep)) {
      turns_ = kTurns;
    }
    return ++looks_ % kTurnsPerLook == 0;
  }

 private:
  static constexpr std::uint32_t kPauses = 64;
  static constexpr std::uint32_t kTurns = 400;
  static constexpr std::uint32_t kTurnsBetweenHosts = 16;
  static constexpr std::uint32_t kTurnsPerLook = 32;
  // Nothing but messages and signals is noticed meanwhile.
  static constexpr std::chrono::milliseconds kLongestSleep{20};

  const bool between_hosts_;
  std::uint32_t pauses_ = 0;
  std::uint32_t turns_ = 0;
  std::uint32_t looks_ = 0;
};

}  // namespace smddp
