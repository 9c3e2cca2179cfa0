#include "transport/ofi/poll_timer.h"

#include <sys/timerfd.h>

#include <algorithm>

namespace smddp {

PollTimer::PollTimer()
    : fd_(UniqueFd{::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)}) {}

void PollTimer::start() noexcept {
  // Setting it also takes back what it has told and nobody has read.
  itimerspec times{};
  times.it_value.tv_nsec = wait_ns_;
  ::timerfd_settime(fd_.get(), 0, &times, nullptr);
  wait_ns_ = std::min(2 * wait_ns_, kLongestNs);
}

}  // namespace smddp
