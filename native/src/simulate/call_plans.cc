#include "simulate/call_plans.h"

#include <string>
#include <utility>

#include "plan/partition.h"
#include "plan/traits.h"

namespace smddp {
namespace {

std::vector<std::size_t> shares(std::size_t count, int ranks) {
  std::vector<std::size_t> counts;
  for (int rank = 0; rank < ranks; ++rank) counts.push_back(share_of(count, ranks, rank).count);
  return counts;
}

Status wrong(const std::string& message) { return {StatusCode::kInvalidArgument, message}; }

}  // namespace

CollectiveSpec spec_of(const CollectiveCall& call, int world, Rank self) {
  CollectiveSpec spec;
  spec.collective = call.collective;
  spec.dtype = call.dtype;
  spec.op = call.op;
  if (is_rooted(call.collective)) spec.root = call.root;
  if (has_blocks(call.collective)) {
    spec.counts = shares(call.count, world);
  } else if (call.collective == Collective::kAllToAll) {
    spec.send_counts = shares(call.count, world);
    spec.counts.assign(spec.send_counts.size(), share_of(call.count, world, self).count);
  } else if (call.collective != Collective::kBarrier) {
    spec.count = call.count;
  }
  return spec;
}

Status check_call(const CollectiveCall& call, int world) {
  if (call.root < 0 || call.root >= world)
    return wrong("root " + std::to_string(call.root) + " is no rank of " + std::to_string(world));
  if (is_reducing(call.collective) && !is_defined(call.op, call.dtype))
    return wrong(std::string{name_of(call.op)} + " is not defined on " +
                 std::string{name_of(call.dtype)});
  return {};
}

Result<CallPlans> CallPlans::make(const CollectiveCall& call, const std::string& algorithm,
                                  const Placement& placement, const Policy& policy) {
  SMDDP_RETURN_IF_ERROR(check_call(call, placement.world()));
  CallPlans plans(call, placement, policy);
  if (placement.hosts() == 1 || algorithm.empty()) return plans;
  const Algorithm* wanted = find_algorithm(call.collective, algorithm);
  const std::string name = std::string{name_of(call.collective)} + " by " + algorithm;
  if (wanted == nullptr) return wrong(name + ": there is no such algorithm");
  const CollectiveSpec spec = spec_of(call, placement.world(), 0);
  const std::string excluded = why_excluded(*wanted, spec, placement, policy);
  if (!excluded.empty()) return wrong(name + ": " + excluded);
  plans.policy_.wanted[call.collective] = wanted;
  return plans;
}

Plan CallPlans::of(Rank rank) const {
  return make_plan(spec_of(call_, placement_->world(), rank), *placement_, policy_, rank);
}

}  // namespace smddp
