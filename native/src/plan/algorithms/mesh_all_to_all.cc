// Direct all-to-all with any block sizes.
//
//   block for each rank of another host --> that rank
//   native all_to_all among the ranks of the host
//
// Steps: 1 hop, 1 native step, at the same time. Bytes sent per host: exactly what its ranks have
// for other hosts. Messages per rank: one to and one from each rank of other hosts.
// Source: textbook "spread" (pairwise, rotated) all-to-all.
#include <utility>

#include "plan/algorithms/algorithms.h"
#include "plan/algorithms/mesh.h"

namespace smddp {

Plan mesh_all_to_all(const CollectiveSpec& spec, const Mesh& mesh) {
  PlanBuilder plan("mesh");
  const std::vector<Part> in_blocks = blocks_of(spec.send_counts);
  const std::vector<Part> out_blocks = blocks_of(spec.counts);
  for (const int host : mesh.recv_order()) {
    for (int j = 0; j < mesh.ranks_on(host); ++j) {
      const Rank peer = mesh.rank_at(host, j);
      plan.recv(peer, range_of(Space::kOut, out_blocks[static_cast<std::size_t>(peer)]));
    }
  }
  for (const int host : mesh.send_order()) {
    for (int j = 0; j < mesh.ranks_on(host); ++j) {
      // Neighbours start at different ranks of the target host, so they do not all hit one.
      const Rank peer = mesh.rank_at(host, (mesh.local() + j) % mesh.ranks_on(host));
      plan.send(peer, range_of(Space::kIn, in_blocks[static_cast<std::size_t>(peer)]));
    }
  }
  const auto self = static_cast<std::size_t>(mesh.self());
  if (mesh.alone()) {
    plan.copy(range_of(Space::kIn, in_blocks[self]), range_of(Space::kOut, out_blocks[self]));
    return std::move(plan).finish();
  }
  NativeStep step;
  step.collective = Collective::kAllToAll;
  step.in = {Space::kIn, 0, total_of(in_blocks)};
  step.in_parts = blocks_of_neighbours(mesh, in_blocks);
  step.out = {Space::kOut, 0, total_of(out_blocks)};
  step.out_parts = blocks_of_neighbours(mesh, out_blocks);
  plan.native(std::move(step));
  return std::move(plan).finish();
}

}  // namespace smddp
