// Direct all-to-all with any block sizes.
//
//   block for each rank of another host --> that rank
//   native all_to_all among the ranks of the host
//
// Steps: 1 hop, 1 native step, at the same time. Bytes sent per host: exactly what its ranks have
// for other hosts. Messages per rank: one to and one from each rank of other hosts.
// Source: textbook "spread" (pairwise, rotated) all-to-all.
#include <utility>

#include "plan/algorithms/list.h"
#include "plan/algorithms/suits.h"
#include "plan/builder.h"

namespace smddp {
namespace {

Plan make(const CollectiveSpec& spec, const Layout& layout) {
  PlanBuilder plan("mesh");
  const std::vector<Part> in_blocks = blocks_of(spec.send_counts);
  const std::vector<Part> out_blocks = blocks_of(spec.counts);
  for (const int host : layout.recv_order()) {
    for (int j = 0; j < layout.ranks_on(host); ++j) {
      const Rank peer = layout.rank_at(host, j);
      plan.recv(peer, range_of(Space::kOut, out_blocks[static_cast<std::size_t>(peer)]));
    }
  }
  for (const int host : layout.send_order()) {
    for (int j = 0; j < layout.ranks_on(host); ++j) {
      // Neighbours start at different ranks of the target host, so they do not all hit one.
      const Rank peer = layout.rank_at(host, (layout.local() + j) % layout.ranks_on(host));
      plan.send(peer, range_of(Space::kIn, in_blocks[static_cast<std::size_t>(peer)]));
    }
  }
  const auto self = static_cast<std::size_t>(layout.self());
  if (layout.alone()) {
    plan.copy(range_of(Space::kIn, in_blocks[self]), range_of(Space::kOut, out_blocks[self]));
    return std::move(plan).finish();
  }
  NativeStep step;
  step.collective = Collective::kAllToAll;
  step.in = {Space::kIn, 0, total_of(in_blocks)};
  step.in_parts = blocks_of_neighbours(layout, in_blocks);
  step.out = {Space::kOut, 0, total_of(out_blocks)};
  step.out_parts = blocks_of_neighbours(layout, out_blocks);
  plan.native(std::move(step));
  return std::move(plan).finish();
}

Demand demand(const CollectiveSpec& spec, const Placement& placement) {
  const double n = static_cast<double>(total_of(blocks_of(spec.send_counts)));
  const double ranks = placement.world();
  const double here = ranks / placement.hosts();
  return {.hops = 1,
          .messages = ranks - here,
          .wire = here * n * (ranks - here) / ranks,
          .piece = n / ranks,
          .native_steps = here > 1 ? 1.0 : 0.0,
          .native = here > 1 ? 2 * n * here / ranks : 0.0};
}

}  // namespace

const Algorithm kAllToAllMesh{
    Collective::kAllToAll, "mesh", SumOrder::kAtOnce, suits_all, make, demand};

}  // namespace smddp
