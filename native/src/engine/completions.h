#pragma once

#include <memory>
#include <mutex>

#include "engine/work_state.h"

namespace smddp {

/// Runs what belongs to users after an operation: callbacks, and the release of their buffers. Both
/// may take a framework's locks, so neither may happen on the engine thread.
///
/// One thread runs them, one after the other and in the order in which operations end. Behind a
/// callback that has started an operation, and may be waiting for it, a second thread goes on after
/// a moment; behind any other only when it takes very long. Starts with the first operation handed
/// over.
class Completions {
 public:
  Completions();
  ~Completions();
  Completions(const Completions&) = delete;
  Completions& operator=(const Completions&) = delete;

  /// `work` is done. Takes no lock and allocates nothing once the first thread runs.
  void hand_over(std::shared_ptr<WorkState> work);
  /// The calling thread has queued an operation. A callback that does so may be waiting for it
  /// next.
  void note_start() noexcept;
  /// Waits until everything handed over so far is done, at most until the deadline. The caller must
  /// not hold a lock that callbacks take. Returns at once inside a callback.
  void drain(Deadline deadline);

 private:
  class Crew;

  std::shared_ptr<Crew> crew_;  ///< its threads' too: a callback may destroy this object
  std::once_flag started_;
};

}  // namespace smddp
