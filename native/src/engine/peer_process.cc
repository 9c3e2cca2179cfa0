#include "engine/peer_process.h"

#include <poll.h>
#include <unistd.h>

#include <cstdint>

namespace smddp {

void PeerProcess::ring() noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(bell_.get(), &one, sizeof(one));
}

bool PeerProcess::has_died() noexcept {
  if (dead_.load(std::memory_order_relaxed)) return true;
  pollfd entry{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
  if (::poll(&entry, 1, 0) == 1 && (entry.revents & POLLIN) != 0) dead_ = true;
  return dead_.load(std::memory_order_relaxed);
}

}  // namespace smddp
