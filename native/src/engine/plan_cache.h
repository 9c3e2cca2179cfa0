#pragma once

#include <memory>
#include <set>
#include <vector>

#include "smddp/request.h"

#include "engine/group.h"
#include "plan/plan.h"
#include "plan/spec.h"

namespace smddp {

/// The plans that one rank used last, looked up by what they are for.
class PlanCache {
 public:
  /// The plan of a complete request; it stays until the next call. Always the same group.
  const Plan& get(const Request& request, const Group& group);

 private:
  struct Entry {
    CollectiveSpec spec;
    Plan plan;
  };
  // A training step repeats a few dozen operations; a linear search over that many is a few hundred
  // nanoseconds at worst, and the one used last is found first.
  static constexpr std::size_t kCapacity = 64;
  std::vector<std::unique_ptr<const Entry>> entries_;

  void warn_if_replaced(const CollectiveSpec& spec, const Plan& plan, const Group& group);
  std::set<Collective> warned_;
};

}  // namespace smddp
