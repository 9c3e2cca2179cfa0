#pragma once

#include "smddp/status.h"

namespace smddp {

/// What one attempt to move bytes over a socket gave.
struct Pumped {
  bool moved = false;
  bool blocked = false;  ///< the socket has nothing more for now: its next event tells
  Status failure;        ///< the connection cannot be used any more in this direction
};

}  // namespace smddp
