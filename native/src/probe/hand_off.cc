#include <sched.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include "smddp/probe.h"

#include "base/futex.h"
#include "base/pause.h"

namespace smddp {
namespace {

using Clock = std::chrono::steady_clock;

// The median of several short runs: a run that the scheduler interrupts counts for nothing.
constexpr int kRuns = 15;
constexpr std::uint32_t kFlagTurns = 2000;
constexpr std::uint32_t kFutexTurns = 40;
constexpr std::uint32_t kYieldAfter = 2000;

struct alignas(64) Flag {
  std::atomic<std::uint32_t> value{0};
};
using Flags = std::array<Flag, 2>;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// The thread may go anywhere again when the probe is over, since it ends then.
void pin_to(const std::vector<int>& processors, std::size_t index) {
  if (index >= processors.size()) return;
  cpu_set_t mask;
  CPU_ZERO(&mask);
  CPU_SET(processors[index], &mask);
  ::sched_setaffinity(0, sizeof(mask), &mask);
}

/// The first two processors that this process may use.
std::vector<int> two_processors() {
  cpu_set_t mask;
  std::vector<int> found;
  if (::sched_getaffinity(0, sizeof(mask), &mask) != 0) return found;
  for (int processor = 0; processor < CPU_SETSIZE && found.size() < 2; ++processor) {
    if (CPU_ISSET(processor, &mask)) found.push_back(processor);
  }
  return found;
}

void wait_for_flag(const std::atomic<std::uint32_t>& flag, std::uint32_t value) {
  for (std::uint32_t turn = 0; flag.load(std::memory_order_acquire) < value; ++turn) {
    if (turn < kYieldAfter) {
      cpu_pause();
    } else {
      ::sched_yield();
    }
  }
}

void sleep_for_flag(std::atomic<std::uint32_t>& flag, std::uint32_t value) {
  for (std::uint32_t seen = flag.load(); seen < value; seen = flag.load())
    futex_wait(flag, seen, std::chrono::seconds{1});
}

/// Seconds for one way, of `turns` there and back. `wait` is how both sides wait, `tell` how they
/// announce.
template <typename Wait, typename Tell>
double one_way(std::uint32_t turns, Wait wait, Tell tell) {
  const std::vector<int> processors = two_processors();
  Flags flags;
  double seconds = 0;
  std::thread answering{[&] {
    pin_to(processors, 1);
    for (std::uint32_t turn = 1; turn <= turns + 1; ++turn) {
      wait(flags[0].value, turn);
      tell(flags[1].value, turn);
    }
  }};
  std::thread asking{[&] {
    pin_to(processors, 0);
    tell(flags[0].value, 1);  // both are there
    wait(flags[1].value, 1);
    const auto begin = Clock::now();
    for (std::uint32_t turn = 2; turn <= turns + 1; ++turn) {
      tell(flags[0].value, turn);
      wait(flags[1].value, turn);
    }
    seconds = seconds_since(begin) / turns / 2;
  }};
  asking.join();
  answering.join();
  return seconds;
}

template <typename Measure>
double median_of_runs(Measure measure) {
  std::vector<double> values;
  for (int run = 0; run < kRuns; ++run) values.push_back(measure());
  std::nth_element(values.begin(), values.begin() + kRuns / 2, values.end());
  return values[kRuns / 2];
}

}  // namespace

HandOff probe_hand_off() {
  const auto store = [](std::atomic<std::uint32_t>& flag, std::uint32_t value) {
    flag.store(value, std::memory_order_release);
  };
  const auto wake = [](std::atomic<std::uint32_t>& flag, std::uint32_t value) {
    flag.store(value);
    futex_wake_all(flag);
  };
  HandOff result;
  result.two_processors = two_processors().size() == 2;
  result.flag_seconds = median_of_runs([&] { return one_way(kFlagTurns, wait_for_flag, store); });
  result.futex_seconds = median_of_runs([&] { return one_way(kFutexTurns, sleep_for_flag, wake); });
  return result;
}

}  // namespace smddp
