#pragma once

#include <sched.h>

#include <cstdint>

namespace smddp {

inline void cpu_pause() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

/// Number of the processor that the thread runs on, for a moment at least, + 1; 0 when the system
/// does not tell.
inline std::uint32_t current_processor() noexcept {
  return static_cast<std::uint32_t>(::sched_getcpu() + 1);
}

/// Fetches the cache line for writing, in the background.
inline void prefetch_to_write(const void* address) noexcept {
#if defined(__x86_64__)
  // The compiler's builtin fetches for reading unless told that the processor has this instruction;
  // one that has not ignores it.
  asm volatile("prefetchw %0" ::"m"(*static_cast<const char*>(address)));
#else
  __builtin_prefetch(address, 1);
#endif
}

/// One thread's waiting: a few pauses, then the processor is offered to others. `exhausted()` after
/// about the given number of yields tells the caller to sleep instead.
class Backoff {
 public:
  Backoff(std::uint32_t spins, std::uint32_t yields) : spins_(spins), yields_(yields) {}

  void reset() noexcept { turns_ = 0; }
  bool is_spinning() const noexcept { return turns_ < spins_; }
  bool exhausted() const noexcept { return has_yielded(yields_); }
  bool has_yielded(std::uint32_t times) const noexcept { return turns_ >= spins_ + times; }
  void step() noexcept {
    if (is_spinning()) {
      cpu_pause();
    } else {
      ::sched_yield();
    }
    ++turns_;
  }

 private:
  std::uint32_t spins_;
  std::uint32_t yields_;
  std::uint32_t turns_ = 0;
};

}  // namespace smddp
