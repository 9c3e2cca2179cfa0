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

#include "plan/algorithms/algorithms.h"
#include "plan/algorithms/mesh.h"

namespace smddp {
namespace {

void distribute_here(PlanBuilder& plan, const Mesh& mesh, const CollectiveSpec& spec,
                     const std::vector<Part>& blocks) {
  const Part own = blocks[static_cast<std::size_t>(mesh.self())];
  if (mesh.alone()) {
    plan.copy(range_of(Space::kIn, own), {Space::kOut, 0, own.count});
    return;
  }
  NativeStep step;
  step.collective = Collective::kScatter;
  step.root = mesh.local_rank_of(spec.root);
  if (mesh.self() == spec.root) step.in = {Space::kIn, 0, total_of(blocks)};
  step.in_parts = blocks_of_neighbours(mesh, blocks);
  step.out = {Space::kOut, 0, own.count};
  plan.native(std::move(step));
}

}  // namespace

Plan mesh_scatter(const CollectiveSpec& spec, const Mesh& mesh) {
  PlanBuilder plan("mesh");
  greet_hosts(plan, mesh);
  const std::vector<Part> blocks = blocks_of(spec.counts);
  if (mesh.host() != mesh.host_of(spec.root)) {
    plan.recv(spec.root, {Space::kOut, 0, blocks[static_cast<std::size_t>(mesh.self())].count});
    meet_neighbours(plan, mesh);
    return std::move(plan).finish();
  }
  if (mesh.self() == spec.root) {
    for (const Rank peer : ranks_elsewhere(mesh)) {
      plan.send(peer, range_of(Space::kIn, blocks[static_cast<std::size_t>(peer)]));
    }
  }
  distribute_here(plan, mesh, spec, blocks);
  return std::move(plan).finish();
}

}  // namespace smddp
