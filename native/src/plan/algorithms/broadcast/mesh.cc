// Direct broadcast from a root on host H.
//
//   lane c of H --> lane c of every other host
//
// Steps: 1 hop. Bytes sent by H: (N - 1) n over its C lanes; by others: 0. Plus one empty message
// each way between every two hosts, which carries the signature.
// Source: textbook flat-tree broadcast between hosts; scatter + all-gather (van de Geijn) inside.
#include <utility>

#include "plan/algorithms/broadcast/lanes.h"
#include "plan/algorithms/list.h"
#include "plan/algorithms/suits.h"

namespace smddp {
namespace {

Steps send_to_all(PlanBuilder& plan, const Layout& layout, const LaneSource& source) {
  if (layout.host() != source.root_host)
    return {plan.recv(layout.peer_on(source.root_host), source.lane.range)};
  for (const int host : layout.send_order())
    plan.send(layout.peer_on(host), source.lane.range, source.lane.ready);
  return source.lane.ready;
}

Plan make(const CollectiveSpec& spec, const Layout& layout) {
  PlanBuilder plan("mesh");
  greet_hosts(plan, layout);
  return broadcast_in_lanes(std::move(plan), spec, layout, send_to_all);
}

Demand demand(const CollectiveSpec& spec, const Placement& placement) {
  const double n = static_cast<double>(spec.count);
  const double hosts = placement.hosts();
  Demand demand = native_demand_of_broadcast(spec, placement);
  demand.hops = 1;
  demand.messages = 2 * (hosts - 1);
  demand.wire = (hosts - 1) * n;
  demand.piece = n / placement.ranks_on_smallest_host();
  return demand;
}

}  // namespace

const Algorithm kBroadcastMesh{
    Collective::kBroadcast, "mesh", SumOrder::kAtOnce, suits_all, make, demand};

}  // namespace smddp
