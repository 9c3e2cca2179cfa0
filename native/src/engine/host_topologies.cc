#include "engine/host_topologies.h"

#include <cstddef>
#include <utility>

namespace smddp {
std::string describe_own_host(const std::vector<Interface>& interfaces,
                              const std::string& transport) {
  DiscoveryOptions options{.rdma = transport != "tcp"};
  for (const Interface& interface : interfaces) options.interfaces.push_back(interface.name);
  return encode(discover_host(options));
}

Result<Topology> assemble_topology(const Placement& placement, const std::vector<RankInfo>& ranks,
                                   const std::string& given) {
  Topology topology;
  for (int host = 0; host < placement.hosts(); ++host) {
    const auto lowest = static_cast<std::size_t>(placement.ranks_on(host).front());
    const std::string& published = ranks[lowest].host_topology;
    const std::string& likely = published.empty() ? ranks.front().host_topology : published;
    Result<HostTopology> described = decode_host_topology(given.empty() ? likely : given);
    if (!described.ok()) return described.status();
    topology.hosts.push_back(std::move(described).value());
  }
  for (Rank rank = 0; rank < placement.world(); ++rank)
    topology.host_of_rank.push_back(placement.host_of(rank));
  return topology;
}

Topology lonely_topology(const Config& config) {
  RankInfo self;
  if (config.topology.empty()) {
    const auto found = select_interfaces(config.socket_ifname, list_interfaces());
    self.host_topology =
        describe_own_host(found.ok() ? found.value() : std::vector<Interface>{}, config.transport);
  }
  Result<Topology> topology =
      assemble_topology(Placement::one_host(1), {std::move(self)}, config.topology);
  return topology.ok() ? std::move(topology).value() : Topology{};
}

}  // namespace smddp
