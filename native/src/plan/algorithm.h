#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "smddp/costs.h"

#include "plan/algorithms/layout.h"
#include "plan/plan.h"
#include "plan/spec.h"
#include "topology/placement.h"

namespace smddp {

/// In which order partial sums of several hosts are added. Each fits wherever one before it does.
enum class SumOrder : std::uint8_t {
  kOther,       ///< one of its own
  kNodeByNode,  ///< the canonical one; each node of the tree is a step, whose result is rounded
  kAtOnce,      ///< the canonical one in one step (or there is nothing to add)
};

/// One way to carry out a collective over several hosts. A value; each lives in the file that
/// explains it.
struct Algorithm {
  Collective collective;
  std::string_view name;
  SumOrder order;
  /// Whether it can do this; the spec is valid and there are several hosts.
  bool (*suits)(const CollectiveSpec& spec, const Placement& placement);
  Plan (*plan)(const CollectiveSpec& spec, const Layout& layout);
  Demand (*demand)(const CollectiveSpec& spec, const Placement& placement);
};

/// All of them, by collective; the first of each suits everything and is the direct schedule.
std::span<const Algorithm* const> algorithms();

/// The one with this name, or null.
const Algorithm* find_algorithm(Collective collective, std::string_view name);

}  // namespace smddp
