#pragma once

#include "plan/plan.h"
#include "plan/planner.h"
#include "topology/placement.h"

namespace smddp {

class Mesh;

/// The reduction a collective asks for: an average is a sum that is divided by the world size.
Reduction reduction_of(const CollectiveSpec& spec, int world);

/// World of one: the result is the input.
Plan copy_plan(const CollectiveSpec& spec);

/// All ranks share one host: a single native step.
Plan native_plan(const CollectiveSpec& spec, int world, Rank self);

// The direct ("mesh") schedule over several hosts. Each file names its picture, cost and source.
Plan mesh_all_reduce(const CollectiveSpec& spec, const Mesh& mesh);
Plan mesh_reduce_scatter(const CollectiveSpec& spec, const Mesh& mesh);
Plan mesh_all_gather(const CollectiveSpec& spec, const Mesh& mesh);
Plan mesh_broadcast(const CollectiveSpec& spec, const Mesh& mesh);
Plan mesh_reduce(const CollectiveSpec& spec, const Mesh& mesh);
Plan mesh_barrier(const Mesh& mesh);
Plan mesh_all_to_all(const CollectiveSpec& spec, const Mesh& mesh);
Plan mesh_gather(const CollectiveSpec& spec, const Mesh& mesh);
Plan mesh_scatter(const CollectiveSpec& spec, const Mesh& mesh);

}  // namespace smddp
