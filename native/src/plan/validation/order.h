#pragma once

#include <vector>

#include "smddp/status.h"

#include "plan/plan.h"
#include "plan/validation/buffers.h"

namespace smddp {

/// Checks one rank's plan for races: steps that `after` does not order, directly or through others,
/// may run at the same time, so none of them may write what the other touches. Also that `after`
/// names earlier steps only, and that native steps follow each other.
/// `accesses[i]` belongs to step i.
Status check_order(const Plan& plan, const std::vector<Accesses>& accesses);

}  // namespace smddp
