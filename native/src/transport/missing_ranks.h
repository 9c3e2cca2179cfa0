#pragma once

#include <string>
#include <vector>

#include "smddp/status.h"
#include "smddp/types.h"

namespace smddp {

/// A rank that did not get connected, and what is known about the reason (may be empty).
struct MissingRank {
  Rank rank = -1;
  std::string why;
};

/// kTimeout: "rank 0 gave up waiting for rank 2 (connection refused), rank 3"
Status missing_ranks_status(Rank self, const std::vector<MissingRank>& missing);

}  // namespace smddp
