#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdint>
#include <ctime>

namespace smddp {

// The raw system call, because std::atomic::wait has no deadline and is not told about signals.
static_assert(sizeof(std::atomic<std::uint32_t>) == sizeof(std::uint32_t));

enum class FutexWait : unsigned char { kWoken, kTimeout, kInterrupted };

/// Sleeps while `word` holds `expected`, at most `timeout`. May wake for no reason.
inline FutexWait futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                            std::chrono::nanoseconds timeout) noexcept {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
  const timespec spec{static_cast<std::time_t>(seconds.count()),
                      static_cast<long>((timeout - seconds).count())};
  const long result = ::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, expected, &spec, nullptr, 0);
  if (result == 0 || errno == EAGAIN) return FutexWait::kWoken;
  return errno == EINTR ? FutexWait::kInterrupted : FutexWait::kTimeout;
}

inline void futex_wake_all(std::atomic<std::uint32_t>& word) noexcept {
  ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace smddp
