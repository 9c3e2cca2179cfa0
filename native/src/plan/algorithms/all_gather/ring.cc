// Ring all-gather over N hosts of equal size, with any block sizes.
//
//   N - 1 times: the block that came last (first: the own one) --> the same local rank of host h +
//   1
//
// Steps: N - 1 hops. Bytes sent per host: (N - 1) times a host's blocks, always to the same host.
// Source: textbook ring all-gather.
#include "plan/algorithms/all_gather/blocks.h"
#include "plan/algorithms/list.h"
#include "plan/algorithms/suits.h"

namespace smddp {
namespace {

std::vector<Ready> pass_round(PlanBuilder& plan, const Layout& layout,
                              const std::vector<Part>& blocks, const Range& own) {
  const int hosts = layout.hosts();
  const Rank next = layout.peer_on((layout.host() + 1) % hosts);
  const Rank previous = layout.peer_on((layout.host() + hosts - 1) % hosts);
  std::vector<Ready> gathered(static_cast<std::size_t>(hosts));
  Ready last{own, {}};
  for (int distance = 1; distance < hosts; ++distance) {
    plan.send(next, last.range, last.ready);
    const auto from = static_cast<std::size_t>((layout.host() - distance + hosts) % hosts);
    const Range block = range_of(Space::kOut, blocks[from]);
    last = {block, {plan.recv(previous, block)}};
    gathered[from] = last;
  }
  return gathered;
}

Plan make(const CollectiveSpec& spec, const Layout& layout) {
  return all_gather_in_lanes("ring", spec, layout, pass_round);
}

Demand demand(const CollectiveSpec& spec, const Placement& placement) {
  const double hosts = placement.hosts();
  Demand demand = native_demand_of_all_gather(spec, placement);
  demand.hops = hosts - 1;
  demand.messages = hosts - 1;
  demand.piece = largest_block(spec);
  demand.wire = (hosts - 1) * placement.ranks_on_smallest_host() * demand.piece;
  return demand;
}

}  // namespace

const Algorithm kAllGatherRing{Collective::kAllGather, "ring", SumOrder::kAtOnce,
                               suits_even_hosts,       make,   demand};

}  // namespace smddp
