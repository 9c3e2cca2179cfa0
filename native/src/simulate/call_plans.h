#pragma once

#include "smddp/simulate.h"
#include "smddp/status.h"

#include "plan/plan.h"
#include "plan/planner.h"
#include "plan/spec.h"
#include "topology/placement.h"

namespace smddp {

/// `call` as `self` calls it. Blocks are shares of the whole vector.
CollectiveSpec spec_of(const CollectiveCall& call, int world, Rank self);

/// kInvalidArgument when no rank could call it so.
Status check_call(const CollectiveCall& call, int world);

/// The plans of all ranks for one collective, by the algorithm that was chosen for it.
class CallPlans {
 public:
  /// `algorithm`: its name, or empty for the planner's choice. `placement` has to outlive this.
  static Result<CallPlans> make(const CollectiveCall& call, const std::string& algorithm,
                                const Placement& placement, const Policy& policy);

  const CollectiveCall& call() const { return call_; }
  Plan of(Rank rank) const;

 private:
  CallPlans(const CollectiveCall& call, const Placement& placement, Policy policy)
      : call_(call), placement_(&placement), policy_(std::move(policy)) {}

  CollectiveCall call_;
  const Placement* placement_;
  Policy policy_;
};

}  // namespace smddp
