#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "smddp/status.h"

#include "base/guarded_fd.h"
#include "base/poller.h"

namespace smddp {

class CommunicatorImpl;

/// The engine thread: drives every communicator that has work and whose baton is free. It waits by
/// spinning briefly, offering its processor, then sleeping on the poller, where peers of this host
/// (through the bell), sockets, deaths and new requests wake it.
class ProgressThread {
 public:
  static Result<std::unique_ptr<ProgressThread>> start();
  ~ProgressThread();
  ProgressThread(const ProgressThread&) = delete;
  ProgressThread& operator=(const ProgressThread&) = delete;

  void add(std::shared_ptr<CommunicatorImpl> communicator);
  /// Returns once the thread has stopped looking at it. Not to be called from the thread itself.
  void remove(const CommunicatorImpl& communicator);

  /// Makes a sleeping thread look again; costs nothing when it is awake. Any thread.
  void wake() noexcept;
  /// The eventfd behind `wake`; peers of this host get a copy.
  int bell() const noexcept { return bell_.get(); }
  Poller& poller() noexcept { return poller_; }

 private:
  using Members = std::vector<std::shared_ptr<CommunicatorImpl>>;

  ProgressThread(Poller poller, UniqueFd bell)
      : poller_(std::move(poller)), bell_(std::move(bell)) {}
  void run();
  void refresh();
  bool drive_all();
  bool is_needed() const;
  std::uint32_t patience() const;
  void sleep();
  void ring() noexcept;

  Poller poller_;
  GuardedFd bell_;
  std::atomic<bool> asleep_{false};
  std::atomic<bool> stopping_{false};

  std::mutex
      mutex_;  ///< guards members_; taken by the engine thread only when version_ has changed
  Members members_;
  std::atomic<std::uint32_t> version_{0};
  std::atomic<std::uint32_t> seen_version_{0};

  Members current_;  ///< the engine thread's copy of members_
  std::thread thread_;
};

}  // namespace smddp
