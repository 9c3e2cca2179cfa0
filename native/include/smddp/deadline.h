#pragma once

#include <algorithm>
#include <chrono>

namespace smddp {

/// A point in time after which waiting is an error. Layers pass deadlines; only the API takes
/// timeouts.
class Deadline {
 public:
  using Clock = std::chrono::steady_clock;

  /// Timeouts such as "400 years" mean never; compared in their own unit, because in nanoseconds
  /// they overflow.
  template <typename Rep, typename Period>
  static Deadline after(std::chrono::duration<Rep, Period> timeout) {
    using Timeout = std::chrono::duration<Rep, Period>;
    const auto now = Clock::now();
    const auto room = std::chrono::floor<Timeout>(Clock::time_point::max() - now);
    return timeout >= room ? never() : Deadline{now + timeout};
  }
  static Deadline never() { return Deadline{Clock::time_point::max()}; }

  bool passed() const { return is_bounded() && Clock::now() >= at_; }
  bool is_bounded() const { return at_ != Clock::time_point::max(); }
  Clock::time_point at() const { return at_; }

  /// For somebody who may wait longer.
  Deadline extended(std::chrono::nanoseconds by) const {
    return Clock::time_point::max() - at_ > by ? Deadline{at_ + by} : never();
  }

  /// Time left, never negative, at most `cap`.
  std::chrono::nanoseconds remaining(std::chrono::nanoseconds cap) const {
    if (!is_bounded()) return cap;
    const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(at_ - Clock::now());
    return std::clamp(left, std::chrono::nanoseconds{0}, cap);
  }
  /// Time left in milliseconds for poll(2) and friends, rounded up, at most `cap`.
  int poll_timeout_ms(std::chrono::milliseconds cap) const {
    const auto left = remaining(cap) + std::chrono::microseconds{999};
    return static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(left).count());
  }

  friend bool operator<(const Deadline& a, const Deadline& b) { return a.at_ < b.at_; }

 private:
  explicit Deadline(Clock::time_point at) : at_(at) {}
  Clock::time_point at_;
};

}  // namespace smddp
