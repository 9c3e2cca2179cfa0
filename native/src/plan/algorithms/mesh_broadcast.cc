// Direct broadcast from a root on host H.
//
//   root's in --native broadcast--> out of H's ranks
//   lane c of H --lane c of the vector--> lane c of every other host --native all_gather--> out
//
// Steps: 1 hop, 1 native step per host. Bytes sent by H: (N - 1) n over its C lanes; by others: 0.
// Plus one empty message each way between every two hosts, which carries the signature.
// Source: textbook flat-tree broadcast between hosts; scatter + all-gather (van de Geijn) inside.
#include <utility>

#include "plan/algorithms/algorithms.h"
#include "plan/algorithms/mesh.h"

namespace smddp {
namespace {

void send_lanes(PlanBuilder& plan, const Mesh& mesh, const CollectiveSpec& spec) {
  const bool is_root = mesh.self() == spec.root;
  const Range in{Space::kIn, 0, spec.count};
  const Range out{Space::kOut, 0, spec.count};
  Steps here;
  if (!mesh.alone()) {
    NativeStep step;
    step.collective = Collective::kBroadcast;
    if (is_root) step.in = in;
    step.out = out;
    step.root = mesh.local_rank_of(spec.root);
    here.add(plan.native(std::move(step)));
  } else {
    plan.copy(in, out);
  }
  if (!mesh.is_lane()) return;
  const Part lane = share_of(spec.count, mesh.lanes(), mesh.local());
  for (const int host : mesh.send_order()) {
    const Rank peer = mesh.rank_at(host, mesh.local());
    // The root need not wait for its neighbours.
    is_root ? plan.send(peer, slice(in, lane)) : plan.send(peer, slice(out, lane), here);
  }
}

void receive_lanes(PlanBuilder& plan, const Mesh& mesh, const CollectiveSpec& spec) {
  Steps arrived;
  if (mesh.is_lane()) {
    const Part lane = share_of(spec.count, mesh.lanes(), mesh.local());
    const Rank peer = mesh.rank_at(mesh.host_of(spec.root), mesh.local());
    arrived.add(plan.recv(peer, range_of(Space::kOut, lane)));
  }
  spread_lanes(plan, mesh, spec.count, arrived);
}

}  // namespace

Plan mesh_broadcast(const CollectiveSpec& spec, const Mesh& mesh) {
  PlanBuilder plan("mesh");
  greet_hosts(plan, mesh);
  const bool is_source = mesh.host() == mesh.host_of(spec.root);
  is_source ? send_lanes(plan, mesh, spec) : receive_lanes(plan, mesh, spec);
  return std::move(plan).finish();
}

}  // namespace smddp
