#include "engine/work_state.h"

#include <utility>

#include "base/futex.h"
#include "base/pause.h"
#include "engine/device_part.h"

namespace smddp {
namespace {

// A waiter offers its processor this many times before it sleeps: waking a sleeper costs more than
// that.
constexpr std::uint32_t kSpins = 200;
constexpr std::uint32_t kYields = 50;
constexpr std::chrono::seconds kLongestSleep{1};

}  // namespace

void WorkState::finish(Status outcome) noexcept {
  outcome_ = std::move(outcome);
  if (request.device_part) request.device_part->end(outcome_);
  if (word_.exchange(kDone, std::memory_order_acq_rel) == kSleeping) futex_wake_all(word_);
}

bool WorkState::wait(Deadline until) noexcept {
  for (Backoff backoff{kSpins, kYields}; !backoff.exhausted(); backoff.step()) {
    if (is_done()) return true;
  }
  while (!is_done()) {
    if (until.passed()) return false;
    std::uint32_t expected = kPending;
    word_.compare_exchange_strong(expected, kSleeping, std::memory_order_acq_rel);
    if (expected == kDone) return true;
    if (futex_wait(word_, kSleeping, until.remaining(kLongestSleep)) == FutexWait::kInterrupted)
      return is_done();
  }
  return true;
}

}  // namespace smddp
