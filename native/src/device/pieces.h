#pragma once

#include <vector>

#include "smddp/request.h"

namespace smddp {

/// The operation as several, so that copies between GPU and host memory, and what goes on in host
/// memory or between hosts, overlap. All ranks cut it alike, or not: those operations can be cut
/// whose `count` is the same on all of them. The last piece has what belongs to the end of the
/// whole.
std::vector<Request> pieces_of(Request request);

}  // namespace smddp
