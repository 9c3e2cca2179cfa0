#pragma once

#include <vector>

#include "plan/builder.h"

namespace smddp {

/// Keeps a host from being sent to by all others at once. The sends and receives of all hosts are
/// numbered alike, and send k waits for receive k - kWindow: what a host sends is what it has seen
/// the others get rid of. Two at a time keep the wire busy between a receive and the next send.
class Pace {
 public:
  /// Without `is_kept` nothing waits.
  explicit Pace(bool is_kept) : is_kept_(is_kept) {}

  /// What the next send has to wait for: `ready` and its turn.
  Steps next_send(Steps ready) {
    if (is_kept_ && sends_ >= kWindow) ready.add(received_[sends_ - kWindow]);
    ++sends_;
    return ready;
  }
  /// Takes down the next receive, which comes after the send of the same number.
  StepId received(StepId recv) {
    received_.push_back(recv);
    return recv;
  }

 private:
  static constexpr std::size_t kWindow = 2;

  bool is_kept_;
  std::size_t sends_ = 0;
  std::vector<StepId> received_;
};

}  // namespace smddp
