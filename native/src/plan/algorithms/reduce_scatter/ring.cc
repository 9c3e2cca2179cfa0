// Ring reduce-scatter over N hosts of equal size, with any block sizes.
//
//   N - 1 times: the sum so far of one block --> the same local rank of host h + 1, which adds its
//   own partial; host h begins with the block of h - 1 and ends with its own
//
// Steps: N - 1 hops. Bytes sent per host: (N - 1) / N * n, always to the same host.
// Order: around the ring from the block's owner on: not canonical.
// Source: textbook ring reduce-scatter (Patarasuk and Yuan, 2009).
#include <utility>

#include "plan/algorithms/list.h"
#include "plan/algorithms/reduce_scatter/blocks.h"
#include "plan/algorithms/suits.h"

namespace smddp {
namespace {

Plan make(const CollectiveSpec& spec, const Layout& layout) {
  PlanBuilder plan("ring", spec);
  const int hosts = layout.hosts();
  const Rank next = layout.peer_on((layout.host() + 1) % hosts);
  const Rank previous = layout.peer_on((layout.host() + hosts - 1) % hosts);
  const Reduction reduction = reduction_of(spec, layout.world());
  // Before the first message, so that in place `out` is written when all of `in` has been read.
  std::vector<Ready> partials;
  for (int distance = 1; distance <= hosts; ++distance) {
    const int owner = (layout.host() - distance + hosts) % hosts;
    partials.push_back(as_partial(plan, reduce_blocks(plan, layout, spec, owner, 0)));
  }

  Ready sum = partials[0];
  for (int step = 1; step < hosts; ++step) {
    const Ready& mine = partials[static_cast<std::size_t>(step)];
    const bool is_own = step == hosts - 1;
    plan.send(next, sum.range, sum.ready);
    const Range received = plan.beside(mine.range, mine.range.count);
    Steps ready = mine.ready;
    ready.add(plan.recv(previous, received));
    const Range result = is_own ? Range{Space::kOut, 0, mine.range.count}
                                : plan.beside(mine.range, mine.range.count);
    sum = {result,
           {plan.reduce({received, mine.range}, result,
                        {reduction.op, is_own ? reduction.divisor : 1}, ready)}};
  }
  return std::move(plan).finish();
}

Demand demand(const CollectiveSpec& spec, const Placement& placement) {
  const double n = static_cast<double>(total_of(blocks_of(spec.counts)));
  const double hosts = placement.hosts();
  const double ranks = placement.world();
  Demand demand = native_demand_of_reduce_scatter(spec, placement);
  demand.hops = hosts - 1;
  demand.messages = hosts - 1;
  const double partial = partial_weight(spec);
  demand.wire = partial * (hosts - 1) / hosts * n;
  demand.piece = partial * n / ranks;
  demand.reduced = 2 * partial * (hosts - 1) * n / ranks;
  return demand;
}

}  // namespace

const Algorithm kReduceScatterRing{Collective::kReduceScatter, "ring", SumOrder::kOther,
                                   suits_even_hosts,           make,   demand};

}  // namespace smddp
