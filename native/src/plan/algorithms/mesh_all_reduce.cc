// Direct all-reduce over N hosts, C lanes (two hops whatever N is).
//
//   in of the host's ranks                    lane c of the vector, cut into one shard per host
//     |  1 native reduce_scatter               [ shard 0 | shard 1 | shard 2 ]
//     v
//   partial of lane c --2 shard k to host k--> N partials of the own shard
//                                                |  3 sum in host order, divide
//                                                v
//   out, lane c <-----4 shard k from host k--- the own shard of the result
//     |  5 native all_gather
//     v
//   out of the host's ranks
//
// Steps: 2 hops between hosts, 2 native steps. Bytes sent per host: 2 (N - 1) / N * n, the ring's.
// Order: canonical tree over local ranks, then over hosts.
// Source: Herring (SC20) and SMDDP's AllReduce with the servers on the training hosts; textbooks
// call the part between hosts a direct ("one-to-all personalised") reduce-scatter and all-gather.
#include <utility>

#include "plan/algorithms/algorithms.h"
#include "plan/algorithms/mesh.h"

namespace smddp {
namespace {

/// Steps 2 to 4 of one lane. Returns what completes the lane in `out`.
Steps exchange_shards(PlanBuilder& plan, const Mesh& mesh, const Part& lane, const Ready& partial,
                      const Reduction& reduction) {
  const auto shard = [&](int host) { return share_of(lane.count, mesh.hosts(), host); };
  const auto peer = [&](int host) { return mesh.rank_at(host, mesh.local()); };
  const Range out = range_of(Space::kOut, lane);
  const Part own = shard(mesh.host());

  std::vector<StepId> sent(static_cast<std::size_t>(mesh.hosts()));
  for (const int host : mesh.send_order()) {
    sent[static_cast<std::size_t>(host)] =
        plan.send(peer(host), slice(partial.range, shard(host)), partial.ready);
  }
  std::vector<Range> partials(static_cast<std::size_t>(mesh.hosts()), slice(partial.range, own));
  Steps have_partials = partial.ready;
  for (const int host : mesh.recv_order()) {
    Range& target = partials[static_cast<std::size_t>(host)];
    target = plan.scratch(own.count);
    have_partials.add(plan.recv(peer(host), target));
  }
  const StepId summed = plan.reduce(partials, slice(out, own), reduction, have_partials);

  for (const int host : mesh.send_order()) plan.send(peer(host), slice(out, own), {summed});
  Steps complete{summed};
  for (const int host : mesh.recv_order()) {
    // In place this shard of `out` is what we sent to its owner. Waiting costs nothing: the owner
    // answers only after it has our shard.
    const StepId free = sent[static_cast<std::size_t>(host)];
    complete.add(plan.recv(peer(host), slice(out, shard(host)), {free}));
  }
  return complete;
}

}  // namespace

Plan mesh_all_reduce(const CollectiveSpec& spec, const Mesh& mesh) {
  PlanBuilder plan("mesh");
  const Reduction reduction = reduction_of(spec, mesh.world());
  const Ready partial = reduce_into_lanes(plan, mesh, spec.count, reduction.op);
  Steps complete = partial.ready;
  if (mesh.is_lane()) {
    const Part lane = share_of(spec.count, mesh.lanes(), mesh.local());
    complete = exchange_shards(plan, mesh, lane, partial, reduction);
  }
  spread_lanes(plan, mesh, spec.count, complete);
  return std::move(plan).finish();
}

}  // namespace smddp
