// Direct reduce to a root on host H.
//
//   in of each host's ranks --native reduce_scatter--> lanes --lane c--> lane c of H
//   lane c of H: sum of N partials in host order, divided --native gather--> root's out
//
// Steps: 1 hop, 1 native step per host, one more on H. Bytes received by H: (N - 1) n over C lanes.
// Plus one empty message each way between every two hosts, which carries the signature.
// Order: canonical tree over local ranks, then over hosts.
// Source: Herring's reduce-scatter (SC20) with one owner host; textbook flat-tree reduce.
#include <utility>

#include "plan/algorithms/algorithms.h"
#include "plan/algorithms/mesh.h"

namespace smddp {
namespace {

/// Sums all hosts' partials of the own lane into `target`.
StepId sum_lane(PlanBuilder& plan, const Mesh& mesh, const Ready& partial, const Range& target,
                const Reduction& reduction) {
  std::vector<Range> partials(static_cast<std::size_t>(mesh.hosts()), partial.range);
  Steps have_partials = partial.ready;
  for (const int host : mesh.recv_order()) {
    Range& received = partials[static_cast<std::size_t>(host)];
    received = plan.scratch(partial.range.count);
    have_partials.add(plan.recv(mesh.rank_at(host, mesh.local()), received));
  }
  return plan.reduce(std::move(partials), target, reduction, have_partials);
}

/// What H's ranks do with their partial lanes.
void collect(PlanBuilder& plan, const Mesh& mesh, const CollectiveSpec& spec, const Ready& partial,
             const Reduction& reduction) {
  const Range out{Space::kOut, 0, spec.count};
  if (mesh.alone()) {
    sum_lane(plan, mesh, partial, out, reduction);
    return;
  }
  NativeStep gather;
  gather.collective = Collective::kGather;
  gather.root = mesh.local_rank_of(spec.root);
  gather.out_parts = lane_parts(mesh, spec.count);
  if (mesh.self() == spec.root) gather.out = out;  // the others have no `out`
  gather.in = partial.range;
  Steps summed = partial.ready;
  if (mesh.is_lane()) summed = {sum_lane(plan, mesh, partial, partial.range, reduction)};
  plan.native(std::move(gather), summed);
}

}  // namespace

Plan mesh_reduce(const CollectiveSpec& spec, const Mesh& mesh) {
  PlanBuilder plan("mesh");
  greet_hosts(plan, mesh);
  const Reduction reduction = reduction_of(spec, mesh.world());
  const Ready partial = reduce_into_lanes(plan, mesh, spec.count, reduction.op);
  const int root_host = mesh.host_of(spec.root);
  if (mesh.host() == root_host) {
    collect(plan, mesh, spec, partial, reduction);
  } else if (mesh.is_lane()) {
    plan.send(mesh.rank_at(root_host, mesh.local()), partial.range, partial.ready);
  }
  return std::move(plan).finish();
}

}  // namespace smddp
