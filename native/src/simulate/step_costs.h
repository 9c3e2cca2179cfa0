#pragma once

#include "smddp/costs.h"
#include "smddp/types.h"

#include "plan/plan.h"

namespace smddp {

/// Bytes that a step sends, receives or reads; of a native step those that one rank reads or
/// writes.
double bytes_of(const Step& step, const ElementTypes& types);

/// How long a reduce, copy or native step, of these bytes, keeps a processor busy.
double work_seconds(const Step& step, double bytes, const Costs& costs);

}  // namespace smddp
