#pragma once

#include <vector>

#include "smddp/status.h"
#include "smddp/types.h"

namespace smddp {

/// Why nothing can be posted for `peer`: the transport is abandoned, or has no connection to it.
/// `labels` are what people call the ranks, see `label_of`.
Status unusable_peer(bool abandoned, const std::vector<Rank>& labels, Rank peer);

}  // namespace smddp
