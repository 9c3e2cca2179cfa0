#include "plan/costs.h"

#include <algorithm>
#include <numeric>

namespace smddp {
namespace {

/// By rail, 10^9 bit/s; 0: unknown.
std::vector<double> speeds_of(const HostTopology& host) {
  std::vector<double> speeds;
  for (const Rail& rail : host.rails) speeds.push_back(rail.gbps);
  return speeds;
}

}  // namespace

double link_seconds_per_byte(double bytes, const Costs& costs) {
  for (const LinkRate& rate : costs.link) {
    if (bytes <= static_cast<double>(rate.bytes)) return rate.seconds_per_byte;
  }
  return costs.link.back().seconds_per_byte;
}

Costs costs_between(const Topology& topology) {
  Costs costs;
  std::vector<double> rails =
      topology.hosts.empty() ? std::vector<double>{} : speeds_of(topology.hosts.front());
  for (const HostTopology& host : topology.hosts) {
    const std::vector<double> own = speeds_of(host);
    rails.resize(std::min(rails.size(), own.size()));
    for (std::size_t i = 0; i < rails.size(); ++i) rails[i] = std::min(rails[i], own[i]);
  }
  if (rails.empty() || std::find(rails.begin(), rails.end(), 0) != rails.end()) return costs;
  costs.link = {{kAnySize, 8e-9 / std::accumulate(rails.begin(), rails.end(), 0.0)}};
  return costs;
}

Costs costs_between(const Topology& topology, const MeasuredCosts& measured,
                    const std::string& transport) {
  const auto known = measured.find(transport);
  if (known == measured.end()) return costs_between(topology);
  Costs costs = known->second;
  if (costs.link.empty()) costs.link = costs_between(topology).link;
  return costs;
}

double seconds(const Demand& demand, DType dtype, const Costs& costs) {
  const auto width = static_cast<double>(size_of(dtype));
  const double wire = demand.wire * width * link_seconds_per_byte(demand.piece * width, costs);
  const double work = demand.reduced * width * costs.reduce + demand.native * width * costs.native;
  // A pipeline of two stages: the first segment fills it, then the slower stage is what counts.
  const double both =
      (wire + work + (demand.segments - 1) * std::max(wire, work)) / demand.segments;
  return demand.hops * costs.hop + demand.messages * costs.message +
         demand.native_steps * costs.native_step + both;
}

}  // namespace smddp
