// Broadcast by scatter and all-gather from a root on host H.
//
//   lane c of H, cut into one shard for each other host --1 shard k--> host k
//   host k --2 shard k--> the hosts other than H
//
// Steps: 2 hops. Bytes sent by H: n; by the others: (N - 2) / (N - 1) n.
// Source: van de Geijn's scatter + all-gather broadcast, both parts direct.
#include "plan/algorithms/broadcast/lanes.h"
#include "plan/algorithms/list.h"
#include "plan/algorithms/suits.h"

namespace smddp {
namespace {

Steps scatter_then_gather(PlanBuilder& plan, const Layout& layout, const LaneSource& source) {
  const Range lane = source.lane.range;
  const int hosts = layout.hosts();
  const auto shard = [&](int host) {
    const int index = (host - source.root_host + hosts) % hosts - 1;
    return slice(lane, share_of(lane.count, hosts - 1, index));
  };
  if (layout.host() == source.root_host) {
    for (const int host : layout.send_order())
      plan.send(layout.peer_on(host), shard(host), source.lane.ready);
    return source.lane.ready;
  }
  const Range own = shard(layout.host());
  const StepId received = plan.recv(layout.peer_on(source.root_host), own);
  Steps complete{received};
  for (const int host : layout.send_order()) {
    if (host != source.root_host) plan.send(layout.peer_on(host), own, {received});
  }
  for (const int host : layout.recv_order()) {
    if (host != source.root_host) complete.add(plan.recv(layout.peer_on(host), shard(host)));
  }
  return complete;
}

Plan make(const CollectiveSpec& spec, const Layout& layout) {
  return broadcast_in_lanes(PlanBuilder("scatter_gather"), spec, layout, scatter_then_gather);
}

Demand demand(const CollectiveSpec& spec, const Placement& placement) {
  const double n = static_cast<double>(spec.count);
  const double others = placement.hosts() - 1;
  Demand demand = native_demand_of_broadcast(spec, placement);
  demand.hops = 2;
  demand.messages = others;
  demand.wire = n + (others - 1) / others * n;
  demand.piece = n / placement.ranks_on_smallest_host() / others;
  return demand;
}

}  // namespace

const Algorithm kBroadcastScatterGather{
    Collective::kBroadcast, "scatter_gather", SumOrder::kAtOnce, suits_three_hosts, make, demand};

}  // namespace smddp
