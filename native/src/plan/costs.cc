#include "plan/costs.h"

#include <algorithm>

namespace smddp {
double link_seconds_per_byte(double bytes, const Costs& costs) {
  for (const LinkRate& rate : costs.link) {
    if (bytes <= static_cast<double>(rate.bytes)) return rate.seconds_per_byte;
  }
  return costs.link.back().seconds_per_byte;
}

Costs costs_between(const Topology& topology) {
  Costs costs;
  double slowest = 0;
  for (const HostTopology& host : topology.hosts) {
    if (host.rails.empty() || host.rails.front().gbps == 0) return costs;
    slowest = slowest == 0 ? host.rails.front().gbps : std::min(slowest, host.rails.front().gbps);
  }
  if (slowest > 0) costs.link = {{kAnySize, 8e-9 / slowest}};
  return costs;
}

double seconds(const Demand& demand, DType dtype, const Costs& costs) {
  const auto width = static_cast<double>(size_of(dtype));
  return demand.hops * costs.hop + demand.messages * costs.message +
         demand.wire * width * link_seconds_per_byte(demand.piece * width, costs) +
         demand.reduced * width * costs.reduce + demand.native_steps * costs.native_step +
         demand.native * width * costs.native;
}

}  // namespace smddp
