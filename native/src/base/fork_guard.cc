#include "base/fork_guard.h"

#include <pthread.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <mutex>

namespace smddp {
namespace {

// Indexed by descriptor, because the handler must not take locks or touch structures that another
// thread may have been changing at the moment of the fork.
constexpr int kTableSize = 65536;
std::array<std::atomic<bool>, kTableSize> g_close;
std::atomic<bool> g_active{false};
std::atomic<bool> g_in_child{false};

void child_handler() {
  if (!g_active.load()) return;
  g_in_child = true;
  for (int fd = 0; fd < kTableSize; ++fd) {
    if (g_close[static_cast<std::size_t>(fd)].load(std::memory_order_relaxed)) ::close(fd);
  }
}

void mark(int fd, bool value) noexcept {
  if (fd >= 0 && fd < kTableSize)
    g_close[static_cast<std::size_t>(fd)].store(value, std::memory_order_relaxed);
}

}  // namespace

void set_fork_guard(bool active) {
  static std::once_flag installed;
  std::call_once(installed, [] { ::pthread_atfork(nullptr, nullptr, child_handler); });
  g_active = active;
}

bool in_forked_child() noexcept { return g_in_child.load(std::memory_order_relaxed); }
void close_in_child(int fd) noexcept { mark(fd, true); }
void keep_in_child(int fd) noexcept { mark(fd, false); }

}  // namespace smddp
