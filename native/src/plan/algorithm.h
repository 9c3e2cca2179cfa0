#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "plan/algorithms/layout.h"
#include "plan/plan.h"
#include "plan/spec.h"
#include "topology/placement.h"

namespace smddp {

/// What a plan takes of everything that costs time, along its longest chain. Elements of the call's
/// dtype, of which a wider partial sum counts as several; `wire` is what passes one way through the
/// busiest host's links, `piece` what one of its messages carries.
struct Demand {
  double hops = 0;          ///< messages that wait for each other
  double messages = 0;      ///< sent by the busiest rank
  double wire = 0;          ///< leaves (or reaches) the busiest host
  double piece = 0;         ///< in one message
  double reduced = 0;       ///< read by the busiest rank to add up what came from other hosts
  double native_steps = 0;  ///< inside a host
  double native = 0;        ///< read or written by one rank in native steps
  double segments = 1;      ///< of the vector: what ranks do with one while another is on the wire
};

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
