#pragma once

namespace smddp {

/// Wakes the peers that may be asleep after something was written for them in shared memory.
class PeerBell {
 public:
  virtual ~PeerBell() = default;
  virtual void ring() noexcept = 0;
  /// Only the peer with this local rank.
  virtual void ring_one(int local) noexcept = 0;
};

}  // namespace smddp
