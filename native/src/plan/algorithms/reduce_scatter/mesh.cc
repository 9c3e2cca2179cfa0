// Direct reduce-scatter with any block sizes.
//
//   for every host k, the next one first, the own one last:
//     in of the host's ranks --native reduce_scatter of the blocks of k's ranks--> partials
//     partial --> its owner, from local rank (owner's local rank mod L)
//   out = sum of the N partials of the own block in host order, divided
//
// Steps: 1 hop, one native step per L blocks of each host. Bytes sent per host: all blocks of other
// hosts once, (N - 1) / N * n when they are equal; each rank carries about 1 / L of them.
// Order: canonical tree over local ranks, then over hosts.
// Source: the first half of Herring's all-reduce (SC20), with owners given by the caller's blocks.
#include <utility>

#include "plan/algorithms/list.h"
#include "plan/algorithms/reduce_scatter/blocks.h"
#include "plan/algorithms/suits.h"

namespace smddp {
namespace {

/// Sends each rank of `host` this host's partial of its block.
void serve_host(PlanBuilder& plan, const Layout& layout, const CollectiveSpec& spec, int host) {
  const int ranks = layout.ranks_on(host);
  for (int turn = 0; turn < turns_for(layout, ranks); ++turn) {
    const Ready partial = reduce_blocks(plan, layout, spec, host, turn);
    const int owner = turn * layout.ranks_here() + layout.local();
    if (owner < ranks) plan.send(layout.rank_at(host, owner), partial.range, partial.ready);
  }
}

Plan make(const CollectiveSpec& spec, const Layout& layout) {
  PlanBuilder plan("mesh", spec);
  const std::size_t own_count = spec.counts[static_cast<std::size_t>(layout.self())];
  std::vector<Range> partials(static_cast<std::size_t>(layout.hosts()));
  Steps have_partials;
  for (const int host : layout.recv_order()) {
    const Rank sender = layout.rank_at(host, layout.local() % layout.ranks_on(host));
    Range& received = partials[static_cast<std::size_t>(host)];
    received = layout.all_alone() ? plan.scratch(own_count) : plan.partials(own_count);
    have_partials.add(plan.recv(sender, received));
  }
  for (const int host : layout.send_order()) serve_host(plan, layout, spec, host);

  // In place `out` is a block of `in`: it is written only when the last native step has read it.
  const Ready own = reduce_blocks(plan, layout, spec, layout.host(), 0);
  partials[static_cast<std::size_t>(layout.host())] = own.range;
  have_partials.add(own.ready);
  const Range out{Space::kOut, 0, own_count};
  plan.reduce(std::move(partials), out, reduction_of(spec, layout.world()), have_partials);
  return std::move(plan).finish();
}

Demand demand(const CollectiveSpec& spec, const Placement& placement) {
  const double n = static_cast<double>(total_of(blocks_of(spec.counts)));
  const double hosts = placement.hosts();
  const double ranks = placement.world();
  Demand demand = native_demand_of_reduce_scatter(spec, placement);
  demand.hops = 1;
  demand.messages = hosts - 1;
  const double share = share_weight(spec, placement);
  demand.wire = share * (hosts - 1) / hosts * n;
  demand.piece = share * n / ranks;
  demand.reduced = share * hosts * n / ranks;
  return demand;
}

}  // namespace

const Algorithm kReduceScatterMesh{
    Collective::kReduceScatter, "mesh", SumOrder::kAtOnce, suits_all, make, demand};

}  // namespace smddp
