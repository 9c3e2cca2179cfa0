#pragma once

#include "smddp/types.h"

namespace smddp {

/// The ranks of one host, as this rank sees them.
struct HostPlace {
  Rank rank = 0;  ///< this rank, among them
  int ranks = 1;
};

}  // namespace smddp
