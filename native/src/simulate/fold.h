#pragma once

#include <cstdint>
#include <vector>

#include "plan/plan.h"
#include "simulate/call_plans.h"
#include "topology/placement.h"

namespace smddp {

/// How the ranks of hosts that are alike do the same at the same time, so that one of them can
/// stand for all. Each fits wherever one after it does.
enum class Symmetry : std::uint8_t {
  kNone,
  kLanes,     ///< the ranks of a host; their messages go to hosts alike
  kRotation,  ///< all ranks: host h does with h + d what host 0 does with host d
  kExchange,  ///< all ranks: host h does with h xor d what host 0 does with host d
};

/// Whether all ranks are alike, not only those of each host.
inline bool has_one_actor(Symmetry symmetry) {
  return symmetry == Symmetry::kRotation || symmetry == Symmetry::kExchange;
}

/// The most symmetry that the plans have on even hosts. Looks at all ranks of some hosts, and takes
/// counts for equal that differ only because a vector cannot be cut evenly.
Symmetry symmetry_of(const CallPlans& plans, const Placement& placement);

/// The ranks that are simulated, *actors*, and where their messages go. Under a symmetry what
/// another rank sends to an actor is what an actor sends to the rank in its place.
class Fold {
 public:
  Fold(const Placement& placement, Symmetry symmetry)
      : placement_(&placement), symmetry_(symmetry) {}

  std::vector<Rank> actors() const;
  /// The actor that stands for `rank`.
  Rank actor_of(Rank rank) const;

  /// A message from one rank to another, as one that an actor sends.
  struct Way {
    Rank from;
    Rank to;
    friend auto operator<=>(const Way&, const Way&) = default;
  };
  Way way(Rank from, Rank to) const;

 private:
  Rank rank_at(int host, int local) const;

  const Placement* placement_;
  Symmetry symmetry_;
};

}  // namespace smddp
