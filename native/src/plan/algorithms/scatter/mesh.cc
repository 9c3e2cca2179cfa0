// Direct scatter with any block sizes from a root on host H.
//
//   block of root's in --> out of each rank of other hosts
//   blocks of H's ranks in root's in --native scatter--> their out
//   ranks of other hosts: native barrier
//
// Steps: 1 hop, 1 native step per host, at the same time. Bytes sent by H: all blocks of other
// hosts once. Plus one empty message each way between every two hosts, which carries the
// signature; the barriers do that among the ranks of a host.
// Source: textbook flat-tree scatter.
#include <utility>

#include "plan/algorithms/list.h"
#include "plan/algorithms/rooted_blocks.h"
#include "plan/algorithms/suits.h"
#include "plan/builder.h"

namespace smddp {
namespace {

void distribute_here(PlanBuilder& plan, const Layout& layout, const CollectiveSpec& spec,
                     const std::vector<Part>& blocks) {
  const Part own = blocks[static_cast<std::size_t>(layout.self())];
  if (layout.alone()) {
    plan.copy(range_of(Space::kIn, own), {Space::kOut, 0, own.count});
    return;
  }
  NativeStep step;
  step.collective = Collective::kScatter;
  step.root = layout.local_rank_of(spec.root);
  if (layout.self() == spec.root) step.in = {Space::kIn, 0, total_of(blocks)};
  step.in_parts = blocks_of_neighbours(layout, blocks);
  step.out = {Space::kOut, 0, own.count};
  plan.native(std::move(step));
}

Plan make(const CollectiveSpec& spec, const Layout& layout) {
  PlanBuilder plan("mesh");
  greet_hosts(plan, layout);
  const std::vector<Part> blocks = blocks_of(spec.counts);
  if (layout.host() != layout.host_of(spec.root)) {
    plan.recv(spec.root, {Space::kOut, 0, blocks[static_cast<std::size_t>(layout.self())].count});
    meet_neighbours(plan, layout);
    return std::move(plan).finish();
  }
  if (layout.self() == spec.root) {
    for (const Rank peer : ranks_elsewhere(layout)) {
      plan.send(peer, range_of(Space::kIn, blocks[static_cast<std::size_t>(peer)]));
    }
  }
  distribute_here(plan, layout, spec, blocks);
  return std::move(plan).finish();
}

Demand demand(const CollectiveSpec& spec, const Placement& placement) {
  return demand_of_rooted_blocks(spec, placement);
}

}  // namespace

const Algorithm kScatterMesh{
    Collective::kScatter, "mesh", SumOrder::kAtOnce, suits_all, make, demand};

}  // namespace smddp
