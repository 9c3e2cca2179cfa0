#pragma once

#include <map>
#include <string>
#include <vector>

#include "smddp/status.h"

#include "plan/algorithm.h"
#include "plan/costs.h"
#include "plan/plan.h"
#include "plan/spec.h"
#include "topology/placement.h"

namespace smddp {

/// How algorithms are chosen. Equal on all ranks, so that all of them choose the same.
struct Policy {
  Costs costs{};
  bool any_order = false;  ///< sums of floating point may add in an order that is not canonical
  Partials partials = Partials::kNative;            ///< of every collective
  std::map<Collective, const Algorithm*> wanted{};  ///< instead of the fastest, where it suits

  friend bool operator==(const Policy&, const Policy&) = default;
};

/// A policy as the settings have it.
struct PolicyText {
  std::string order = "canonical";  ///< or "any"
  std::string partials = "native";  ///< or "fp32"
  std::string wanted{};             ///< "all_reduce=ring,broadcast=tree"
};

/// kConfig says what there is.
Result<Policy> parse_policy(const PolicyText& text);

struct Candidate {
  const Algorithm* algorithm;
  double seconds;  ///< predicted
};

/// Why `algorithm`, of the collective of `spec`, may not be used for it on several hosts; empty: it
/// may.
std::string why_excluded(const Algorithm& algorithm, const CollectiveSpec& spec,
                         const Placement& placement, const Policy& policy);

/// What may be used for `spec` on several hosts, the choice first, then by predicted time.
std::vector<Candidate> candidates(const CollectiveSpec& spec, const Placement& placement,
                                  const Policy& policy);

/// The steps of rank `self`; `spec.partials` are those of the policy. Pure; arguments are valid
/// (the engine checked them). In-place forms are legal: in == out (all_reduce, reduce, broadcast),
/// in == out + offset of self (all_gather, gather), out == in + offset of self (reduce_scatter,
/// scatter); all_to_all is never in place. `in` of non-roots of broadcast and scatter and `out` of
/// non-roots of reduce and gather may be missing altogether. kAverage divides by the world size
/// exactly once per element.
Plan make_plan(const CollectiveSpec& spec, const Placement& placement, const Policy& policy,
               Rank self);

}  // namespace smddp
