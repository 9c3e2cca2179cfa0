#pragma once

#include <vector>

#include "smddp/status.h"
#include "smddp/store.h"
#include "smddp/types.h"

namespace smddp {

/// Why the members of a group did not get connected, as far as those that are still there can tell
/// together: the rank that one of them misses may merely have given up because of a third.
///
/// Called by each member whose connecting failed with `own`, through keys of `store` that nobody
/// has used before. Publishes `own`, so that the others can ask. Returns `own`, or a better answer:
/// the failure of a rank that `own` counts as missing, or a kTimeout that names those who say
/// nothing. Takes at most two seconds, and those only where somebody says nothing.
Status find_cause(Store& store, Rank self, const std::vector<Rank>& labels, const Status& own);

}  // namespace smddp
