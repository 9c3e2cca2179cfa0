#pragma once

#include "smddp/status.h"

namespace smddp {

/// What one attempt to move bytes over a stream gave.
struct Pumped {
  bool moved = false;
  bool blocked = false;  ///< the stream has nothing more, or no more room, for now
  Status failure;        ///< the connection cannot be used any more in this direction
};

}  // namespace smddp
