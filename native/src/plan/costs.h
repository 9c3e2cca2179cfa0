#pragma once

#include "smddp/costs.h"
#include "smddp/types.h"

#include "plan/algorithm.h"

namespace smddp {

/// What one byte of a message of `bytes` costs on a host's links.
double link_seconds_per_byte(double bytes, const Costs& costs);

/// Predicted time of what `demand` (in elements of `dtype`) asks for. A sum, as the stages of one
/// operation follow each other, but for what overlaps between segments.
double seconds(const Demand& demand, DType dtype, const Costs& costs);

}  // namespace smddp
