#include "engine/plan_cache.h"

#include <algorithm>

namespace smddp {

std::shared_ptr<const Plan> PlanCache::get(const CollectiveSpec& spec, const Placement& placement,
                                           Rank self) {
  auto found = std::find_if(entries_.begin(), entries_.end(),
                            [&](const Entry& entry) { return entry.spec == spec; });
  if (found == entries_.end()) {
    if (entries_.size() == kCapacity) entries_.pop_back();
    entries_.push_back({spec, std::make_shared<const Plan>(make_plan(spec, placement, self))});
    found = entries_.end() - 1;
  }
  std::rotate(entries_.begin(), found, found + 1);
  return entries_.front().plan;
}

}  // namespace smddp
