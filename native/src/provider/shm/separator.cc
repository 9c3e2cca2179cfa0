#include "provider/shm/separator.h"

#include <sched.h>

#include <algorithm>

namespace smddp {
namespace {

constexpr std::chrono::milliseconds kShortestPause{2};
constexpr std::chrono::milliseconds kLongestPause{500};

}  // namespace

bool Separator::may_move() noexcept {
  const auto now = Deadline::Clock::now();
  if (now < next_) return false;
  const bool again = now < next_ + pause_;
  pause_ = again ? std::min(2 * pause_, kLongestPause) : kShortestPause;
  next_ = now + pause_;
  return true;
}

void ProcessorLoad::add(std::uint32_t processor) noexcept {
  if (processor < ranks_.size()) ++ranks_[processor];
}

std::optional<std::uint32_t> ProcessorLoad::better_than(std::uint32_t own) const noexcept {
  static_assert(kProcessors == CPU_SETSIZE);
  cpu_set_t usable;
  if (own >= ranks_.size() || ::sched_getaffinity(0, sizeof(usable), &usable) != 0)
    return std::nullopt;
  std::uint32_t best = own;
  for (std::uint32_t processor = 0; processor < ranks_.size(); ++processor) {
    if (CPU_ISSET(processor, &usable) && ranks_[processor] < ranks_[best]) best = processor;
  }
  if (ranks_[best] + 2 > ranks_[own]) return std::nullopt;
  return best;
}

void move_to_processor(std::uint32_t processor) noexcept {
  cpu_set_t before;
  if (::sched_getaffinity(0, sizeof(before), &before) != 0) return;
  cpu_set_t target;
  CPU_ZERO(&target);
  CPU_SET(processor, &target);
  if (::sched_setaffinity(0, sizeof(target), &target) == 0)
    ::sched_setaffinity(0, sizeof(before), &before);
}

}  // namespace smddp
