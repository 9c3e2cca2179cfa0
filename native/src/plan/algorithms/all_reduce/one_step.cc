// One-step all-reduce over N hosts: everybody sends everything to everybody.
//
//   lane c of this host --whole lane--> every other host
//   N partial lanes --sum in host order, divide--> lane c of the result
//
// Steps: 1 hop, the least that is possible. Bytes sent per host: (N - 1) n, N / 2 times the ring's;
// for vectors so small that a hop costs more than the bytes.
// Order: canonical tree over local ranks, then over hosts.
// Source: textbook "all-to-all broadcast, then reduce"; known as one-shot all-reduce on GPUs.
#include "plan/algorithms/all_reduce/lanes.h"
#include "plan/algorithms/list.h"
#include "plan/algorithms/suits.h"

namespace smddp {
namespace {

Steps exchange_all(PlanBuilder& plan, const Layout& layout, const LaneReduction& lane) {
  const auto& [partial, target, reduction] = lane;
  Steps sent;
  for (const int host : layout.send_order())
    sent.add(plan.send(layout.peer_on(host), partial.range, partial.ready));
  Steps ready = partial.ready;
  ready.add(before_overwriting(partial.range, sent));
  std::vector<Range> partials(static_cast<std::size_t>(layout.hosts()), partial.range);
  for (const int host : layout.recv_order()) {
    Range& received = partials[static_cast<std::size_t>(host)];
    received = plan.beside(partial.range, target.count);
    ready.add(plan.recv(layout.peer_on(host), received));
  }
  return {plan.reduce(partials, target, reduction, ready)};
}

Plan make(const CollectiveSpec& spec, const Layout& layout) {
  return all_reduce_in_lanes("one_step", spec, layout, exchange_all);
}

Demand demand(const CollectiveSpec& spec, const Placement& placement) {
  const double n = static_cast<double>(spec.count);
  const double hosts = placement.hosts();
  const double lanes = placement.ranks_on_smallest_host();
  Demand demand = native_demand_of_all_reduce(spec, placement);
  const double share = share_weight(spec, placement);
  demand.hops = 1;
  demand.messages = hosts - 1;
  demand.wire = share * (hosts - 1) * n;
  demand.piece = share * n / lanes;
  demand.reduced = share * hosts * n / lanes;
  return demand;
}

}  // namespace

const Algorithm kAllReduceOneStep{
    Collective::kAllReduce, "one_step", SumOrder::kAtOnce, suits_all, make, demand};

}  // namespace smddp
