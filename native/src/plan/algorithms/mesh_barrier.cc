// Barrier over N hosts.
//
//   native barrier --> local rank 0: an empty message each way with every other host
//                  --> native barrier
//
// Steps: 1 hop, 2 native steps. Bytes: none (empty messages carry the signature).
// Source: textbook barrier by all-to-all notification, among hosts; one hop where dissemination
// takes log2 N, like the rest of the direct schedule.
#include <utility>

#include "plan/algorithms/algorithms.h"
#include "plan/algorithms/mesh.h"

namespace smddp {

Plan mesh_barrier(const Mesh& mesh) {
  PlanBuilder plan("mesh");
  NativeStep meet;
  meet.collective = Collective::kBarrier;
  Steps host_entered;
  if (!mesh.alone()) host_entered.add(plan.native(meet));
  Steps all_entered = host_entered;
  if (mesh.local() == 0) {
    for (const int host : mesh.send_order()) plan.send(mesh.rank_at(host, 0), {}, host_entered);
    for (const int host : mesh.recv_order()) all_entered.add(plan.recv(mesh.rank_at(host, 0), {}));
  }
  if (!mesh.alone()) plan.native(meet, all_entered);
  return std::move(plan).finish();
}

}  // namespace smddp
