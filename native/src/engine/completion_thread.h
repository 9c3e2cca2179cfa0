#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>

#include "engine/work_state.h"

namespace smddp {

/// Runs what belongs to users after an operation: callbacks, and the release of their buffers. Both
/// may take a framework's locks, so neither may happen on the engine thread. Starts with the first
/// operation handed over.
class CompletionThread {
 public:
  CompletionThread() = default;
  ~CompletionThread();
  CompletionThread(const CompletionThread&) = delete;
  CompletionThread& operator=(const CompletionThread&) = delete;

  /// `work` is done.
  void hand_over(std::shared_ptr<WorkState> work);
  /// Waits until everything handed over so far is done, at most until the deadline. The caller must
  /// not hold a lock that callbacks take. Returns at once on the completion thread itself.
  void drain(Deadline deadline);

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::condition_variable idle_;
  std::deque<std::shared_ptr<WorkState>> queue_;
  bool busy_ = false;  ///< an element has left the queue and is being worked on
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace smddp
