#pragma once

#include "plan/plan.h"
#include "plan/spec.h"

namespace smddp {

/// World of one: the result is the input.
Plan copy_plan(const CollectiveSpec& spec);

/// All ranks share one host: a single native step.
Plan native_plan(const CollectiveSpec& spec, int world, Rank self);

}  // namespace smddp
