#include "memory/release_listener.h"

#include <mutex>
#include <vector>

#include "base/fork_guard.h"

namespace smddp {
namespace {

struct Listeners {
  std::mutex mutex;
  std::vector<ReleaseListener*> all;
};

Listeners& listeners() {
  static auto* const shared = new Listeners;  // arrays are released until the process ends
  return *shared;
}

}  // namespace

void add_release_listener(ReleaseListener& listener) {
  const std::lock_guard lock{listeners().mutex};
  listeners().all.push_back(&listener);
}

void remove_release_listener(ReleaseListener& listener) noexcept {
  if (in_forked_child()) return;
  const std::lock_guard lock{listeners().mutex};
  std::erase(listeners().all, &listener);
}

void tell_released(std::span<const std::byte> memory) noexcept {
  // The parent's threads may have held the lock at the fork.
  if (in_forked_child()) return;
  const std::lock_guard lock{listeners().mutex};
  for (ReleaseListener* listener : listeners().all) listener->on_release(memory);
}

}  // namespace smddp
