// Direct all-reduce over N hosts, C lanes (two hops whatever N is).
//
//   in of the host's ranks                    lane c of the vector, cut into one shard per host
//     |  1 native reduce_scatter               [ shard 0 | shard 1 | shard 2 ]
//     v
//   partial of lane c --2 shard k to host k--> N partials of the own shard
//                                                |  3 sum in host order, divide
//                                                v
//   out, lane c <-----4 shard k from host k--- the own shard of the result
//     |  5 native all_gather
//     v
//   out of the host's ranks
//
// Steps: 2 hops between hosts, 2 native steps. Bytes sent per host: 2 (N - 1) / N * n, the ring's.
// Order: canonical tree over local ranks, then over hosts.
// Source: Herring (SC20) and SMDDP's AllReduce with the servers on the training hosts; textbooks
// call the part between hosts a direct ("one-to-all personalised") reduce-scatter and all-gather.
#include "plan/algorithms/all_reduce/lanes.h"
#include "plan/algorithms/list.h"
#include "plan/algorithms/suits.h"

namespace smddp {
namespace {

Steps exchange_shards(PlanBuilder& plan, const Layout& layout, const LaneReduction& lane) {
  const auto& [partial, target, reduction] = lane;
  const auto shard = [&](int host) { return share_of(lane.target.count, layout.hosts(), host); };
  const Part own = shard(layout.host());

  std::vector<StepId> sent(static_cast<std::size_t>(layout.hosts()));
  for (const int host : layout.send_order()) {
    sent[static_cast<std::size_t>(host)] =
        plan.send(layout.peer_on(host), slice(partial.range, shard(host)), partial.ready);
  }
  std::vector<Range> partials(static_cast<std::size_t>(layout.hosts()), slice(partial.range, own));
  Steps have_partials = partial.ready;
  for (const int host : layout.recv_order()) {
    Range& received = partials[static_cast<std::size_t>(host)];
    received = plan.scratch(own.count);
    have_partials.add(plan.recv(layout.peer_on(host), received));
  }
  const StepId summed = plan.reduce(partials, slice(target, own), reduction, have_partials);

  for (const int host : layout.send_order())
    plan.send(layout.peer_on(host), slice(target, own), {summed});
  Steps complete{summed};
  for (const int host : layout.recv_order()) {
    // In place this shard of `out` is what we sent to its owner. Waiting costs nothing: the owner
    // answers only after it has our shard.
    const StepId free = sent[static_cast<std::size_t>(host)];
    complete.add(plan.recv(layout.peer_on(host), slice(target, shard(host)), {free}));
  }
  return complete;
}

Plan make(const CollectiveSpec& spec, const Layout& layout) {
  return all_reduce_in_lanes("mesh", spec, layout, exchange_shards);
}

Demand demand(const CollectiveSpec& spec, const Placement& placement) {
  const double n = static_cast<double>(spec.count);
  const double hosts = placement.hosts();
  const double lanes = placement.ranks_on_smallest_host();
  Demand demand = native_demand_of_all_reduce(spec, placement);
  demand.hops = 2;
  demand.messages = 2 * (hosts - 1);
  demand.wire = 2 * (hosts - 1) / hosts * n;
  demand.piece = n / lanes / hosts;
  demand.reduced = n / lanes;
  return demand;
}

}  // namespace

const Algorithm kAllReduceMesh{
    Collective::kAllReduce, "mesh", SumOrder::kAtOnce, suits_all, make, demand};

}  // namespace smddp
