// Direct gather with any block sizes to a root on host H.
//
//   in of each rank of other hosts --> its block of root's out
//   in of H's ranks --native gather--> their blocks of root's out
//   ranks of other hosts: native barrier
//
// Steps: 1 hop, 1 native step per host, at the same time. Bytes received by H: all blocks of other
// hosts once, in their place. Plus one empty message each way between every two hosts, which
// carries the signature; the barriers do that among the ranks of a host.
// Source: textbook flat-tree gather.
#include <utility>

#include "plan/algorithms/list.h"
#include "plan/algorithms/rooted_blocks.h"
#include "plan/algorithms/suits.h"
#include "plan/builder.h"

namespace smddp {
namespace {

void collect_here(PlanBuilder& plan, const Layout& layout, const CollectiveSpec& spec,
                  const std::vector<Part>& blocks) {
  const Part own = blocks[static_cast<std::size_t>(layout.self())];
  if (layout.alone()) {
    plan.copy({Space::kIn, 0, own.count}, range_of(Space::kOut, own));
    return;
  }
  NativeStep step;
  step.collective = Collective::kGather;
  step.root = layout.local_rank_of(spec.root);
  step.in = {Space::kIn, 0, own.count};
  if (layout.self() == spec.root) step.out = {Space::kOut, 0, total_of(blocks)};
  step.out_parts = blocks_of_neighbours(layout, blocks);
  plan.native(std::move(step));
}

Plan make(const CollectiveSpec& spec, const Layout& layout) {
  PlanBuilder plan("mesh");
  greet_hosts(plan, layout);
  const std::vector<Part> blocks = blocks_of(spec.counts);
  if (layout.host() != layout.host_of(spec.root)) {
    plan.send(spec.root, {Space::kIn, 0, blocks[static_cast<std::size_t>(layout.self())].count});
    meet_neighbours(plan, layout);
    return std::move(plan).finish();
  }
  if (layout.self() == spec.root) {
    for (const Rank peer : ranks_elsewhere(layout)) {
      plan.recv(peer, range_of(Space::kOut, blocks[static_cast<std::size_t>(peer)]));
    }
  }
  collect_here(plan, layout, spec, blocks);
  return std::move(plan).finish();
}

Demand demand(const CollectiveSpec& spec, const Placement& placement) {
  return demand_of_rooted_blocks(spec, placement);
}

}  // namespace

const Algorithm kGatherMesh{Collective::kGather, "mesh", SumOrder::kAtOnce,
                            suits_all,           make,   demand};

}  // namespace smddp
