#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "smddp/deadline.h"
#include "smddp/store.h"

namespace smddp {

/// When the members of a group connect to each other: once all of them have made their
/// communicator, so that two of them can exchange messages while the others do something else; or
/// as soon as this one has an operation, which then reports who is missing. Thread-safe.
class Meeting {
 public:
  /// An operation needs the group, and waits until `deadline` at most. The first one counts.
  void need(Deadline deadline);
  /// Nobody here will need the group any more.
  void cancel();

  /// Counts this member at the store and waits. Returns until when to connect, or nothing when this
  /// member leaves a group that is not complete: nobody connects then without having to.
  std::optional<Deadline> wait(Store& store, int world, std::chrono::milliseconds timeout);

 private:
  enum class Wish { kNone, kConnect, kCancel };

  Wish wait_for_wish(std::chrono::milliseconds at_most);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Deadline> needed_until_;
  bool cancelled_ = false;
};

}  // namespace smddp
