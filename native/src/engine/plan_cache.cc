#include "engine/plan_cache.h"

#include <algorithm>
#include <string>

#include "base/log.h"
#include "engine/request_check.h"
#include "plan/planner.h"

namespace smddp {

const Plan& PlanCache::get(const Request& request, const Group& group) {
  auto found = std::find_if(entries_.begin(), entries_.end(),
                            [&request](const auto& entry) { return is_for(entry->spec, request); });
  if (found == entries_.end()) {
    if (entries_.size() == kCapacity) entries_.pop_back();
    const CollectiveSpec spec = to_spec(request);
    entries_.push_back(std::make_unique<const Entry>(
        Entry{spec, make_plan(spec, group.placement, group.policy, group.self)}));
    found = entries_.end() - 1;
    warn_if_replaced(spec, (*found)->plan, group);
  }
  std::rotate(entries_.begin(), found, found + 1);
  return entries_.front()->plan;
}

/// Once for each collective, and by one rank, as all choose the same.
void PlanCache::warn_if_replaced(const CollectiveSpec& spec, const Plan& plan, const Group& group) {
  const auto wanted = group.policy.wanted.find(spec.collective);
  if (wanted == group.policy.wanted.end() || group.placement.hosts() == 1 || group.self != 0)
    return;
  const std::string name{wanted->second->name};
  if (plan.algorithm == name || !warned_.insert(spec.collective).second) return;
  const std::string why = why_excluded(*wanted->second, spec, group.placement, group.policy);
  log_line(LogLevel::kWarn, "SMDDP_ALGORITHM: " + plan.algorithm + " is used instead of " +
                                std::string{name_of(spec.collective)} + "=" + name + " (" + why +
                                ")");
}

}  // namespace smddp
