#pragma once

#include <string>
#include <vector>

#include "smddp/config.h"
#include "smddp/status.h"
#include "smddp/topology.h"

#include "bootstrap/identity.h"
#include "topology/placement.h"

namespace smddp {

// How the members of a group come to one topology: the lowest rank of each host describes it, and
// all put the same descriptions together.

/// What a rank publishes of its host, when `transport` carries messages between hosts.
std::string describe_own_host(const std::vector<Interface>& interfaces,
                              const std::string& transport);

/// The topology of a group. A host whose lowest rank has published nothing is like rank 0's; where
/// `given` (Config::topology) is not empty, all are like that.
Result<Topology> assemble_topology(const Placement& placement, const std::vector<RankInfo>& ranks,
                                   const std::string& given);

/// The topology of a world of one. It uses no network, so SMDDP_SOCKET_IFNAME may say anything.
Topology lonely_topology(const Config& config);

}  // namespace smddp
