#include "device/streams_wait.h"

#include <atomic>
#include <mutex>
#include <shared_mutex>

namespace smddp {
namespace {

/// Never destroyed.
struct State {
  std::shared_mutex mutex;  ///< whole: nothing begins to wait
  std::atomic<int> waiting{0};
};
State& state() {
  static State& object = *new State;
  return object;
}

}  // namespace

StreamsWait::StreamsWait() { for_good(); }

void StreamsWait::for_good() {
  const std::shared_lock lock{state().mutex};
  ++state().waiting;
}

StreamsWait::~StreamsWait() { --state().waiting; }

bool when_no_stream_waits(const std::function<void()>& call) {
  const std::unique_lock lock{state().mutex, std::try_to_lock};
  if (!lock || state().waiting > 0) return false;
  call();
  return true;
}

}  // namespace smddp
