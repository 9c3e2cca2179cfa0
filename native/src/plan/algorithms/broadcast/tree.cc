// Binomial tree broadcast from a root on host H.
//
//   hosts counted from H:   0 -> 4, 0 -> 2, 0 -> 1     4 -> 6, 4 -> 5     2 -> 3     6 -> 7
//
// Steps: floor(log2 N) hops, N - 1 messages for each lane. Bytes sent by H: ceil(log2 N) n.
// Source: textbook binomial broadcast.
#include <bit>

#include "plan/algorithms/broadcast/lanes.h"
#include "plan/algorithms/list.h"
#include "plan/algorithms/suits.h"

namespace smddp {
namespace {

Steps pass_down(PlanBuilder& plan, const Layout& layout, const LaneSource& source) {
  const int hosts = layout.hosts();
  const int place = (layout.host() - source.root_host + hosts) % hosts;
  const auto peer_at = [&](int other) {
    return layout.peer_on((other + source.root_host) % hosts);
  };
  // Host 0 of the count serves all powers of two, the others those below their lowest bit.
  const unsigned reach = place == 0 ? std::bit_ceil(static_cast<unsigned>(hosts))
                                    : static_cast<unsigned>(place & -place);
  Steps ready = source.lane.ready;
  if (place != 0) ready = {plan.recv(peer_at(place & (place - 1)), source.lane.range)};
  for (int bit = static_cast<int>(reach / 2); bit > 0; bit /= 2) {
    if (place + bit < hosts) plan.send(peer_at(place + bit), source.lane.range, ready);
  }
  return ready;
}

Plan make(const CollectiveSpec& spec, const Layout& layout) {
  return broadcast_in_lanes(PlanBuilder("tree"), spec, layout, pass_down);
}

Demand demand(const CollectiveSpec& spec, const Placement& placement) {
  const double n = static_cast<double>(spec.count);
  const double children = std::bit_width(static_cast<unsigned>(placement.hosts() - 1));
  Demand demand = native_demand_of_broadcast(spec, placement);
  demand.hops = std::bit_width(static_cast<unsigned>(placement.hosts())) - 1;
  demand.messages = children;
  demand.wire = children * n;
  demand.piece = n / placement.ranks_on_smallest_host();
  return demand;
}

}  // namespace

const Algorithm kBroadcastTree{
    Collective::kBroadcast, "tree", SumOrder::kAtOnce, suits_all, make, demand};

}  // namespace smddp
