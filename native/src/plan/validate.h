#pragma once

#include <vector>

#include "smddp/status.h"

#include "plan/plan.h"
#include "plan/spec.h"
#include "topology/placement.h"

namespace smddp {

/// Executes the plans of all ranks symbolically and checks that every message has its receive (in
/// per-pair order, with equal counts), nothing deadlocks, no step reads what was not yet written or
/// is overwritten concurrently (unordered conflicting steps), every element of the result holds
/// every contribution exactly once and was divided exactly once, and contributions were combined in
/// the canonical order where the placement is aligned, unless the algorithm declares another one.
/// No step may take elements for those of another dtype, and where `partials` are wider than the
/// call's, each result is rounded exactly once. In-place forms are checked too when `in_place`.
/// Worlds up to 64. `plans[r]` and `specs[r]` belong to rank r; specs differ only in all_to_all,
/// where each rank has counts of its own.
Status validate_plans(const std::vector<Plan>& plans, const std::vector<CollectiveSpec>& specs,
                      const Placement& placement, bool in_place);

}  // namespace smddp
