#include "provider/shm/separator.h"

#include <algorithm>
#include <cstring>

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

RoomyProcessors ProcessorLoad::better_than(std::uint32_t own) const noexcept {
  RoomyProcessors better;
  cpu_set_t usable;
  if (own >= ranks_.size() || ::sched_getaffinity(0, sizeof(usable), &usable) != 0) return better;
  std::uint32_t fewest = ranks_[own];
  for (std::uint32_t processor = 0; processor < ranks_.size(); ++processor) {
    if (CPU_ISSET(processor, &usable)) fewest = std::min<std::uint32_t>(fewest, ranks_[processor]);
  }
  if (fewest + 2 > ranks_[own]) return better;
  for (std::uint32_t processor = 0; processor < ranks_.size(); ++processor) {
    if (CPU_ISSET(processor, &usable) && ranks_[processor] == fewest) better.add(processor);
  }
  return better;
}

std::uint32_t RoomyProcessors::first() const noexcept {
  std::uint32_t processor = 0;
  while (processor < CPU_SETSIZE && !CPU_ISSET(processor, &mask_)) ++processor;
  return processor;
}

void RoomyProcessors::move_here() const noexcept {
  cpu_set_t before;
  if (::sched_getaffinity(0, sizeof(before), &before) != 0) return;
  if (::sched_setaffinity(0, sizeof(mask_), &mask_) != 0) return;
  // A thread that had no mask of its own shall have none again: it follows its cpuset when that
  // grows.
  cpu_set_t all;
  std::memset(&all, 0xff, sizeof(all));
  cpu_set_t after;
  const bool same = ::sched_setaffinity(0, sizeof(all), &all) == 0 &&
                    ::sched_getaffinity(0, sizeof(after), &after) == 0 &&
                    CPU_EQUAL(&after, &before);
  if (!same) ::sched_setaffinity(0, sizeof(before), &before);
}

}  // namespace smddp
