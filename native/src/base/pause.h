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

/// One thread's waiting: a few pauses, then the processor is offered to others. `exhausted()` after
/// about the given number of yields tells the caller to sleep instead.
class Backoff {
 public:
  Backoff(std::uint32_t spins, std::uint32_t yields) : spins_(spins), yields_(yields) {}

  void reset() noexcept { turns_ = 0; }
  bool is_spinning() const noexcept { return turns_ < spins_; }
  bool exhausted() const noexcept { return turns_ >= spins_ + yields_; }
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
