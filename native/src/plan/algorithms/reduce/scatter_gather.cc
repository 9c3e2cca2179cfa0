// Reduce by reduce-scatter and gather, to a root on host H.
//
//   lane c of each host, cut into one shard per host --1 shard k--> host k
//   host k: sum of N partials of shard k in host order, divided --2--> lane c of H
//
// Steps: 2 hops. Bytes received by H: 2 (N - 1) / N n; by the others: (N - 1) / N n.
// Order: canonical tree over local ranks, then over hosts.
// Source: Rabenseifner's reduce, both parts direct.
#include "plan/algorithms/list.h"
#include "plan/algorithms/reduce/lanes.h"
#include "plan/algorithms/suits.h"

namespace smddp {
namespace {

/// Where a shard's sum lies on this host, and for each other host the send of its shard.
struct Scattered {
  Ready own;
  std::vector<StepId> sent;
};

Scattered reduce_scatter(PlanBuilder& plan, const Layout& layout, const LaneSink& sink) {
  const auto hosts = static_cast<std::size_t>(layout.hosts());
  const Range partial = sink.partial.range;
  const auto shard = [&](int host) { return share_of(partial.count, layout.hosts(), host); };
  const Part own = shard(layout.host());
  Scattered scattered{{}, std::vector<StepId>(hosts)};
  for (const int host : layout.send_order()) {
    scattered.sent[static_cast<std::size_t>(host)] =
        plan.send(layout.peer_on(host), slice(partial, shard(host)), sink.partial.ready);
  }
  std::vector<Range> partials(hosts, slice(partial, own));
  Steps ready = sink.partial.ready;
  for (const int host : layout.recv_order()) {
    Range& received = partials[static_cast<std::size_t>(host)];
    received = plan.beside(partial, own.count);
    ready.add(plan.recv(layout.peer_on(host), received));
  }
  const bool is_sink = layout.host() == sink.root_host;
  const Range result = is_sink ? slice(sink.target, own) : plan.scratch(own.count);
  scattered.own = {result, {plan.reduce(std::move(partials), result, sink.reduction, ready)}};
  return scattered;
}

Steps scatter_then_gather(PlanBuilder& plan, const Layout& layout, const LaneSink& sink) {
  const Scattered scattered = reduce_scatter(plan, layout, sink);
  const auto& [own, sent] = scattered;
  if (layout.host() != sink.root_host) {
    plan.send(layout.peer_on(sink.root_host), own.range, own.ready);
    return {};
  }
  Steps complete = own.ready;
  for (const int host : layout.recv_order()) {
    const Range shard = slice(sink.target, share_of(sink.target.count, layout.hosts(), host));
    // What we sent to its owner, who answers only after it has it, or widened before.
    Steps free;
    if (layout.alone()) free = sink.partial.ready;
    free.add(before_overwriting(sink.partial.range, {sent[static_cast<std::size_t>(host)]}));
    complete.add(plan.recv(layout.peer_on(host), shard, free));
  }
  return complete;
}

Plan make(const CollectiveSpec& spec, const Layout& layout) {
  return reduce_in_lanes(PlanBuilder("scatter_gather", spec), spec, layout, scatter_then_gather);
}

Demand demand(const CollectiveSpec& spec, const Placement& placement) {
  const double n = static_cast<double>(spec.count);
  const double hosts = placement.hosts();
  const double lanes = placement.ranks_on_smallest_host();
  Demand demand = native_demand_of_reduce(spec, placement);
  demand.hops = 2;
  demand.messages = hosts;
  const double share = share_weight(spec, placement);
  demand.wire = (share + 1) * (hosts - 1) / hosts * n;
  demand.piece = (share + 1) / 2 * n / lanes / hosts;
  demand.reduced = share * n / lanes;
  return demand;
}

}  // namespace

const Algorithm kReduceScatterGather{
    Collective::kReduce, "scatter_gather", SumOrder::kAtOnce, suits_three_hosts, make, demand};

}  // namespace smddp
