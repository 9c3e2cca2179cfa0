// What the planner has to choose from.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "smddp/simulate.h"

#include "plan/algorithm.h"
#include "plan/planner.h"
#include "simulate/call_plans.h"
#include "topology/placement.h"

namespace smddp {

Result<std::vector<PlanOption>> plan_options(const CollectiveCall& call, const Topology& topology,
                                             const PlanSettings& settings) {
  const Placement placement(topology.host_of_rank);
  SMDDP_RETURN_IF_ERROR(check_call(call, placement.world()));
  Result<Policy> policy = parse_policy({.order = settings.order, .partials = settings.partials});
  if (!policy.ok()) return policy.status();
  policy.value().costs = settings.costs;
  if (placement.hosts() == 1)
    return std::vector<PlanOption>{{.algorithm = placement.world() == 1 ? "copy" : "native"}};
  const CollectiveSpec spec = spec_of(call, placement.world(), 0);
  std::vector<PlanOption> options;
  for (const Candidate& candidate : candidates(spec, placement, policy.value())) {
    options.push_back({.algorithm = std::string{candidate.algorithm->name},
                       .seconds = candidate.seconds,
                       .demand = candidate.algorithm->demand(spec, placement)});
  }
  for (const Algorithm* algorithm : algorithms()) {
    if (algorithm->collective != call.collective) continue;
    std::string why = why_excluded(*algorithm, spec, placement, policy.value());
    if (!why.empty())
      options.push_back({.algorithm = std::string{algorithm->name}, .excluded = std::move(why)});
  }
  return options;
}

}  // namespace smddp
