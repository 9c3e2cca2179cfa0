#pragma once

#include <string_view>

#include "plan/algorithm.h"
#include "plan/spec.h"
#include "topology/placement.h"

namespace smddp {

// Answers to whether an algorithm can carry out a collective on a placement of several hosts.

bool suits_all(const CollectiveSpec& spec, const Placement& placement);
bool suits_three_hosts(const CollectiveSpec& spec, const Placement& placement);  ///< or more
bool suits_four_hosts(const CollectiveSpec& spec, const Placement& placement);   ///< or more
/// Hosts with the same number of ranks.
bool suits_even_hosts(const CollectiveSpec& spec, const Placement& placement);
bool suits_powers_of_two(const CollectiveSpec& spec, const Placement& placement);  ///< of hosts
bool suits_even_powers_of_two(const CollectiveSpec& spec, const Placement& placement);

/// What `algorithm.suits` asks for, for people: "at least 3 hosts".
std::string_view what_suits(const Algorithm& algorithm);

}  // namespace smddp
