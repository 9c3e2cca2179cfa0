#pragma once

#include <atomic>

namespace smddp {

/// The right to touch one communicator's state. Nobody waits for it: who does not get it leaves the
/// work to the holder, or to the engine thread.
class Baton {
 public:
  bool try_take() noexcept {
    return !taken_.load(std::memory_order_relaxed) &&
           !taken_.exchange(true, std::memory_order_acquire);
  }
  void drop() noexcept { taken_.store(false, std::memory_order_seq_cst); }
  bool is_taken() const noexcept { return taken_.load(std::memory_order_seq_cst); }

 private:
  std::atomic<bool> taken_{false};
};

}  // namespace smddp
