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

/// kTimeout: "gave up waiting for the connection to rank 2 (connection refused), rank 3". `labels`
/// are what people call the ranks, see `label_of`.
Status missing_ranks_status(const std::vector<Rank>& labels,
                            const std::vector<MissingRank>& missing);

}  // namespace smddp
