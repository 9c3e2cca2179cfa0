// Direct reduce to a root on host H.
//
//   lane c of each host --> lane c of H: sum of N partials in host order, divided
//
// Steps: 1 hop. Bytes received by H: (N - 1) n over C lanes. Plus one empty message each way
// between every two hosts, which carries the signature.
// Order: canonical tree over local ranks, then over hosts.
// Source: Herring's reduce-scatter (SC20) with one owner host; textbook flat-tree reduce.
#include <utility>

#include "plan/algorithms/list.h"
#include "plan/algorithms/reduce/lanes.h"
#include "plan/algorithms/suits.h"

namespace smddp {
namespace {

Steps send_to_root(PlanBuilder& plan, const Layout& layout, const LaneSink& sink) {
  if (layout.host() != sink.root_host) {
    plan.send(layout.peer_on(sink.root_host), sink.partial.range, sink.partial.ready);
    return {};
  }
  std::vector<Range> partials(static_cast<std::size_t>(layout.hosts()), sink.partial.range);
  Steps have_partials = sink.partial.ready;
  for (const int host : layout.recv_order()) {
    Range& received = partials[static_cast<std::size_t>(host)];
    received = plan.beside(sink.partial.range, sink.target.count);
    have_partials.add(plan.recv(layout.peer_on(host), received));
  }
  return {plan.reduce(std::move(partials), sink.target, sink.reduction, have_partials)};
}

Plan make(const CollectiveSpec& spec, const Layout& layout) {
  PlanBuilder plan("mesh", spec);
  greet_hosts(plan, layout);
  return reduce_in_lanes(std::move(plan), spec, layout, send_to_root);
}

Demand demand(const CollectiveSpec& spec, const Placement& placement) {
  const double n = static_cast<double>(spec.count);
  const double hosts = placement.hosts();
  const double lanes = placement.ranks_on_smallest_host();
  Demand demand = native_demand_of_reduce(spec, placement);
  demand.hops = 1;
  demand.messages = hosts;
  const double share = share_weight(spec, placement);
  demand.wire = share * (hosts - 1) * n;
  demand.piece = share * n / lanes;
  demand.reduced = share * hosts * n / lanes;
  return demand;
}

}  // namespace

const Algorithm kReduceMesh{Collective::kReduce, "mesh", SumOrder::kAtOnce,
                            suits_all,           make,   demand};

}  // namespace smddp
