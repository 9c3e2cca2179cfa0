#pragma once

#include <algorithm>
#include <cstddef>

namespace smddp {

/// Bytes that a link lets pass at once after a pause: saved up at its rate while nothing flows.
class TokenBucket {
 public:
  TokenBucket(double bytes, double rate) : most_(bytes), rate_(rate), saved_(bytes) {}

  /// A message begins to flow; returns those of its bytes that are not let pass at once.
  double begin(double now, double bytes) {
    if (flows_++ == 0) saved_ = std::min(most_, saved_ + rate_ * (now - idle_since_));
    const double passed = std::min(saved_, bytes);
    saved_ -= passed;
    return bytes - passed;
  }
  void end(double now) {
    if (--flows_ == 0) idle_since_ = now;
  }

 private:
  double most_;
  double rate_;  ///< bytes per second
  double saved_;
  std::size_t flows_ = 0;
  double idle_since_ = 0;
};

}  // namespace smddp
