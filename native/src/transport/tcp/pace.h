#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace smddp {

/// How fast a rail has been lately: bytes that its peer's host got while there was always something
/// under way.
class Pace {
 public:
  using Clock = std::chrono::steady_clock;

  /// So many bytes have been sent ever, of which `queued` are still under way.
  void observe(std::uint64_t sent, std::size_t queued, Clock::time_point now) {
    queued_ = queued;
    // A rail that was slow and gets nothing any more would never be seen to be fast again.
    if (now - sampled_ > kMemory) bytes_per_second_ = 0;
    const std::uint64_t arrived = sent - queued;
    if (queued == 0 || since_ == Clock::time_point{}) {
      since_ = now;
      arrived_then_ = arrived;
    }
    if (arrived - arrived_then_ < kSampleBytes) return;
    const std::chrono::duration<double> time = now - since_;
    const double sample = static_cast<double>(arrived - arrived_then_) / time.count();
    bytes_per_second_ += (sample - bytes_per_second_) * (is_known() ? kWeight : 1);
    since_ = sampled_ = now;
    arrived_then_ = arrived;
  }

  bool is_known() const noexcept { return bytes_per_second_ > 0; }
  double bytes_per_second() const noexcept { return bytes_per_second_; }
  double queued() const noexcept { return static_cast<double>(queued_); }
  /// Until so many bytes more are there.
  double seconds_for(std::size_t bytes) const {
    return (queued() + static_cast<double>(bytes)) / bytes_per_second_;
  }

 private:
  static constexpr std::size_t kSampleBytes = std::size_t{256} << 10;
  static constexpr double kWeight = 0.25;
  static constexpr std::chrono::seconds kMemory{10};

  double bytes_per_second_ = 0;
  std::size_t queued_ = 0;
  Clock::time_point since_{};
  Clock::time_point sampled_{};
  std::uint64_t arrived_then_ = 0;
};

}  // namespace smddp
