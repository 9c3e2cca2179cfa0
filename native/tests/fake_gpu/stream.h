#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace fake_gpu {

class Stream;
using Work = std::function<void()>;

/// How much work of each stream of a capture somebody is behind.
using Clock = std::map<const Stream*, int>;

/// Calls made while a stream was captured, in order. Making them again is the replay.
struct Capture {
  int mode;
  std::thread::id thread;  ///< which began it
  const Stream* stream;    ///< in which it began
  std::vector<Work> calls{};
  std::map<const Stream*, Clock> clocks{};  ///< of the ends of all streams
  bool active = true;
};

/// Something that happens once, in a stream or outside.
class Moment {
 public:
  void happen();
  void wait() const;
  [[nodiscard]] bool happened() const { return happened_.load(std::memory_order_acquire); }
  /// Only after it has happened.
  [[nodiscard]] std::chrono::steady_clock::time_point when() const { return when_; }

 private:
  std::chrono::steady_clock::time_point when_;
  std::atomic<bool> happened_{false};
};

/// A queue of work and the thread that does it in order.
class Stream {
 public:
  explicit Stream(int device) : device_(device) {}
  static std::shared_ptr<Stream> start(int device);

  [[nodiscard]] int device() const { return device_; }

  /// Waits while `most_queued` pieces of work are, as the driver does; 0: as many as come.
  void push(Work work);
  static std::atomic<std::size_t> most_queued;
  /// The thread ends when it has done what is queued.
  void close();
  [[nodiscard]] bool idle();
  /// Waits for all that was pushed before.
  void drain();

  /// Queues a gate. Work behind it waits until the gate is opened.
  void shut_gate();
  /// Opens the oldest gate that is shut; false when there is none.
  [[nodiscard]] bool open_gate();

  /// The next kernel on it does not come to its end before a gate is opened.
  std::atomic<bool> holds_kernel{false};

  /// The capture that this stream takes part in, and the last that began and ended in it. The
  /// driver's mutex guards them.
  std::shared_ptr<Capture> capture;
  std::shared_ptr<Capture> last_capture;

 private:
  void run();

  const int device_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Work> queue_;
  std::deque<std::shared_ptr<Moment>> gates_;
  std::uint64_t pushed_ = 0;
  std::uint64_t done_ = 0;
  bool closed_ = false;
};

}  // namespace fake_gpu
