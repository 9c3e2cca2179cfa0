#pragma once

namespace smddp {

/// Wakes the peers that may be asleep after something was written for them in shared memory.
class PeerBell {
 public:
  virtual ~PeerBell() = default;
  virtual void ring() noexcept = 0;
};

}  // namespace smddp
