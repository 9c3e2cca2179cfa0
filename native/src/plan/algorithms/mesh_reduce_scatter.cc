// Direct reduce-scatter with any block sizes.
//
//   for every host k, the next one first, the own one last:
//     in of the host's ranks --native reduce_scatter of the blocks of k's ranks--> partials
//     partial --> its owner, from local rank (owner's local rank mod L)
//   out = sum of the N partials of the own block in host order, divided
//
// Steps: 1 hop, one native step per L blocks of each host. Bytes sent per host: all blocks of other
// hosts once, (N - 1) / N * n when they are equal; each rank carries about 1 / L of them.
// Order: canonical tree over local ranks, then over hosts.
// Source: the first half of Herring's all-reduce (SC20), with owners given by the caller's blocks.
#include <utility>

#include "plan/algorithms/algorithms.h"
#include "plan/algorithms/mesh.h"

namespace smddp {
namespace {

/// Partial sums over this host of the blocks of ranks `turn` * L ... of `host`, one for each local
/// rank. Returns the one that falls to self; its count is 0 when there is none.
Ready reduce_blocks(PlanBuilder& plan, const Mesh& mesh, const CollectiveSpec& spec, int host,
                    int turn) {
  const std::vector<Part> blocks = blocks_of(spec.counts);
  NativeStep step;
  step.collective = Collective::kReduceScatter;
  step.reduction = {reduction_of(spec, mesh.world()).op, 1};
  step.in = {Space::kIn, 0, total_of(blocks)};
  step.in_parts.resize(static_cast<std::size_t>(mesh.ranks_here()));
  for (int j = 0; j < mesh.ranks_here(); ++j) {
    const int owner = turn * mesh.ranks_here() + j;
    if (owner >= mesh.ranks_on(host)) break;
    step.in_parts[static_cast<std::size_t>(j)] =
        blocks[static_cast<std::size_t>(mesh.rank_at(host, owner))];
  }
  const Part own = step.in_parts[static_cast<std::size_t>(mesh.local())];
  if (mesh.alone()) return {slice(step.in, own), {}};
  step.out = plan.scratch(own.count);
  const Range out = step.out;
  return {out, {plan.native(std::move(step))}};
}

/// Sends each rank of `host` this host's partial of its block.
void serve_host(PlanBuilder& plan, const Mesh& mesh, const CollectiveSpec& spec, int host) {
  const int ranks = mesh.ranks_on(host);
  for (int turn = 0; turn < turns_for(mesh, ranks); ++turn) {
    const Ready partial = reduce_blocks(plan, mesh, spec, host, turn);
    const int owner = turn * mesh.ranks_here() + mesh.local();
    if (owner < ranks) plan.send(mesh.rank_at(host, owner), partial.range, partial.ready);
  }
}

}  // namespace

Plan mesh_reduce_scatter(const CollectiveSpec& spec, const Mesh& mesh) {
  PlanBuilder plan("mesh");
  const std::size_t own_count = spec.counts[static_cast<std::size_t>(mesh.self())];
  std::vector<Range> partials(static_cast<std::size_t>(mesh.hosts()));
  Steps have_partials;
  for (const int host : mesh.recv_order()) {
    const Rank sender = mesh.rank_at(host, mesh.local() % mesh.ranks_on(host));
    Range& received = partials[static_cast<std::size_t>(host)];
    received = plan.scratch(own_count);
    have_partials.add(plan.recv(sender, received));
  }
  for (const int host : mesh.send_order()) serve_host(plan, mesh, spec, host);

  // In place `out` is a block of `in`: it is written only when the last native step has read it.
  const Ready own = reduce_blocks(plan, mesh, spec, mesh.host(), 0);
  partials[static_cast<std::size_t>(mesh.host())] = own.range;
  have_partials.add(own.ready);
  const Range out{Space::kOut, 0, own_count};
  plan.reduce(std::move(partials), out, reduction_of(spec, mesh.world()), have_partials);
  return std::move(plan).finish();
}

}  // namespace smddp
