#include <algorithm>
#include <cstddef>

#include "smddp/topology.h"

namespace smddp {
namespace {

constexpr std::size_t kStripe = std::size_t{128} << 10;
constexpr std::size_t kLeast = std::size_t{25} << 20;

std::size_t shared_rails(const Topology& topology) {
  std::size_t rails = topology.hosts.empty() ? 0 : topology.hosts.front().rails.size();
  for (const HostTopology& host : topology.hosts) rails = std::min(rails, host.rails.size());
  return std::max<std::size_t>(rails, 1);
}

}  // namespace

std::size_t balanced_bucket_bytes(const Topology& topology) {
  return std::max(kLeast, topology.hosts.size() * shared_rails(topology) * kStripe);
}

}  // namespace smddp
