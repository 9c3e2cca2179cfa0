#include "engine/plan_cache.h"

#include <algorithm>

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
  }
  std::rotate(entries_.begin(), found, found + 1);
  return entries_.front()->plan;
}

}  // namespace smddp
