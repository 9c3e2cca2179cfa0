#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "plan/planner.h"

namespace smddp {

/// The plans that one rank used last, looked up by their specification.
class PlanCache {
 public:
  std::shared_ptr<const Plan> get(const CollectiveSpec& spec, const Placement& placement,
                                  Rank self);

 private:
  struct Entry {
    CollectiveSpec spec;
    std::shared_ptr<const Plan> plan;
  };
  // A training step repeats a few dozen operations; a linear search over that many is a few hundred
  // nanoseconds at worst, and the one used last is found first.
  static constexpr std::size_t kCapacity = 64;
  std::vector<Entry> entries_;
};

}  // namespace smddp
