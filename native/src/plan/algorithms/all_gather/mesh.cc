// Direct all-gather with any block sizes.
//
//   own block (in) --> one rank of every other host, in place in its out: its local rank
//                      (own local rank mod its host's ranks)
//   native all_gather of the host's own blocks, then of each other host's, nearest first
//
// Steps: 1 hop, one native step per L blocks of each host. Bytes sent per host: (N - 1) times its
// own blocks, so each block crosses each wire once; each rank receives about 1 / L of the rest.
// Source: SMDDP's AllGather (direct between hosts, then inside the host); textbook "spread".
#include <utility>

#include "plan/algorithms/all_gather/blocks.h"
#include "plan/algorithms/list.h"
#include "plan/algorithms/suits.h"

namespace smddp {
namespace {

/// Receives the blocks of `host` that fall to self, one per turn; the last turn may bring none.
std::vector<Ready> receive_blocks(PlanBuilder& plan, const Layout& layout,
                                  const std::vector<Part>& blocks, int host) {
  std::vector<Ready> received(static_cast<std::size_t>(turns_for(layout, layout.ranks_on(host))));
  for (std::size_t turn = 0; turn < received.size(); ++turn) {
    const int source = static_cast<int>(turn) * layout.ranks_here() + layout.local();
    if (source >= layout.ranks_on(host)) break;
    const Rank peer = layout.rank_at(host, source);
    const Range block = range_of(Space::kOut, blocks[static_cast<std::size_t>(peer)]);
    received[turn] = {block, {plan.recv(peer, block)}};
  }
  return received;
}

Plan make(const CollectiveSpec& spec, const Layout& layout) {
  PlanBuilder plan("mesh");
  const std::vector<Part> blocks = blocks_of(spec.counts);
  const Part own = blocks[static_cast<std::size_t>(layout.self())];
  const Range in{Space::kIn, 0, own.count};
  for (const int host : layout.send_order()) {
    plan.send(layout.rank_at(host, layout.local() % layout.ranks_on(host)), in);
  }
  std::vector<std::vector<Ready>> received;
  for (const int host : layout.recv_order()) {
    received.push_back(receive_blocks(plan, layout, blocks, host));
  }
  if (layout.alone()) plan.copy(in, range_of(Space::kOut, own));
  spread_blocks(plan, layout, blocks, layout.host(), 0, {in, {}});
  const std::vector<int> order = layout.recv_order();
  for (std::size_t i = 0; i < order.size(); ++i) {
    for (std::size_t turn = 0; turn < received[i].size(); ++turn) {
      spread_blocks(plan, layout, blocks, order[i], static_cast<int>(turn), received[i][turn]);
    }
  }
  return std::move(plan).finish();
}

Demand demand(const CollectiveSpec& spec, const Placement& placement) {
  const double hosts = placement.hosts();
  const double ranks = placement.world() / hosts;
  Demand demand = native_demand_of_all_gather(spec, placement);
  demand.hops = 1;
  demand.messages = hosts - 1;
  demand.piece = largest_block(spec);
  demand.wire = (hosts - 1) * ranks * demand.piece;
  return demand;
}

}  // namespace

const Algorithm kAllGatherMesh{
    Collective::kAllGather, "mesh", SumOrder::kAtOnce, suits_all, make, demand};

}  // namespace smddp
