#pragma once

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
  CompletionThread();
  ~CompletionThread();
  CompletionThread(const CompletionThread&) = delete;
  CompletionThread& operator=(const CompletionThread&) = delete;

  /// `work` is done. Takes no lock and allocates nothing once the thread runs.
  void hand_over(std::shared_ptr<WorkState> work);
  /// Waits until everything handed over so far is done, at most until the deadline. The caller must
  /// not hold a lock that callbacks take. Returns at once on the completion thread itself.
  void drain(Deadline deadline);

 private:
  struct Shared;
  static void run(Shared& shared);

  std::shared_ptr<Shared> shared_;  ///< the thread's too: a callback may destroy this object
  std::once_flag started_;
  std::thread thread_;
};

}  // namespace smddp
