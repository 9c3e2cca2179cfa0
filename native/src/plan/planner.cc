#include "plan/planner.h"

#include <cassert>

#include "plan/algorithms/algorithms.h"
#include "plan/algorithms/mesh.h"

namespace smddp {

Reduction reduction_of(const CollectiveSpec& spec, int world) {
  if (spec.op == ReduceOp::kAverage) return {ReduceOp::kSum, world};
  return {spec.op, 1};
}

namespace {

Plan mesh_plan(const CollectiveSpec& spec, const Mesh& mesh) {
  switch (spec.collective) {
    case Collective::kAllReduce:
      return mesh_all_reduce(spec, mesh);
    case Collective::kReduceScatter:
      return mesh_reduce_scatter(spec, mesh);
    case Collective::kAllGather:
      return mesh_all_gather(spec, mesh);
    case Collective::kBroadcast:
      return mesh_broadcast(spec, mesh);
    case Collective::kReduce:
      return mesh_reduce(spec, mesh);
    case Collective::kBarrier:
      return mesh_barrier(mesh);
    case Collective::kAllToAll:
      return mesh_all_to_all(spec, mesh);
    case Collective::kGather:
      return mesh_gather(spec, mesh);
    case Collective::kScatter:
      return mesh_scatter(spec, mesh);
  }
  assert(false && "no such collective");
  return {};
}

}  // namespace

Plan make_plan(const CollectiveSpec& spec, const Placement& placement, Rank self) {
  if (placement.world() == 1) return copy_plan(spec);
  if (placement.hosts() == 1) return native_plan(spec, placement.world(), self);
  return mesh_plan(spec, Mesh(placement, self));
}

}  // namespace smddp
