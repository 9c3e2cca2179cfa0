#pragma once

#include <cstddef>
#include <vector>

#include "plan/builder.h"

namespace smddp {

/// Keeps the flows of a host equally fast. The sends and receives of all hosts are numbered alike,
/// and send k waits for receive k - `window`. Where flows meet at a receiver, TCP gives them
/// unequal parts of its line; those that are ahead wait for the others here, instead of at the end,
/// when the others can no longer use what is free.
class Pace {
 public:
  /// Nothing waits where `window` is 0.
  explicit Pace(std::size_t window) : window_(window) {}

  /// What the next send has to wait for: `ready` and its turn.
  Steps next_send(Steps ready) {
    if (window_ > 0 && sends_ >= window_) ready.add(received_[sends_ - window_]);
    ++sends_;
    return ready;
  }
  /// Takes down the next receive, which comes after the send of the same number.
  StepId received(StepId recv) {
    received_.push_back(recv);
    return recv;
  }

 private:
  std::size_t window_;
  std::size_t sends_ = 0;
  std::vector<StepId> received_;
};

}  // namespace smddp
