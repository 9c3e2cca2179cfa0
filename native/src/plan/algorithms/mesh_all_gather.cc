// Direct all-gather with any block sizes.
//
//   own block (in) --> one rank of every other host, in place in its out: its local rank
//                      (own local rank mod its host's ranks)
//   native all_gather of the host's own blocks, then of each other host's, nearest first
//
// Steps: 1 hop, one native step per L blocks of each host. Bytes sent per host: (N - 1) times its
// own blocks, so each block crosses each wire once; each rank receives about 1 / L of the rest.
// Source: SMDDP's AllGather (direct between hosts, then inside the host); textbook "spread".
#include <utility>

#include "plan/algorithms/algorithms.h"
#include "plan/algorithms/mesh.h"

namespace smddp {
namespace {

/// Spreads the blocks of ranks `turn` * L ... of `host`; self brings the one in `own`.
void spread_blocks(PlanBuilder& plan, const Mesh& mesh, const std::vector<Part>& blocks, int host,
                   int turn, const Ready& own) {
  if (mesh.alone()) return;
  NativeStep step;
  step.collective = Collective::kAllGather;
  step.in = own.range;
  step.out = {Space::kOut, 0, total_of(blocks)};
  step.out_parts.resize(static_cast<std::size_t>(mesh.ranks_here()));
  for (int j = 0; j < mesh.ranks_here(); ++j) {
    const int source = turn * mesh.ranks_here() + j;
    if (source >= mesh.ranks_on(host)) break;
    step.out_parts[static_cast<std::size_t>(j)] =
        blocks[static_cast<std::size_t>(mesh.rank_at(host, source))];
  }
  plan.native(std::move(step), own.ready);
}

/// Receives the blocks of `host` that fall to self, one per turn; the last turn may bring none.
std::vector<Ready> receive_blocks(PlanBuilder& plan, const Mesh& mesh,
                                  const std::vector<Part>& blocks, int host) {
  std::vector<Ready> received(static_cast<std::size_t>(turns_for(mesh, mesh.ranks_on(host))));
  for (std::size_t turn = 0; turn < received.size(); ++turn) {
    const int source = static_cast<int>(turn) * mesh.ranks_here() + mesh.local();
    if (source >= mesh.ranks_on(host)) break;
    const Rank peer = mesh.rank_at(host, source);
    const Range block = range_of(Space::kOut, blocks[static_cast<std::size_t>(peer)]);
    received[turn] = {block, {plan.recv(peer, block)}};
  }
  return received;
}

}  // namespace

Plan mesh_all_gather(const CollectiveSpec& spec, const Mesh& mesh) {
  PlanBuilder plan("mesh");
  const std::vector<Part> blocks = blocks_of(spec.counts);
  const Part own = blocks[static_cast<std::size_t>(mesh.self())];
  const Range in{Space::kIn, 0, own.count};
  for (const int host : mesh.send_order()) {
    plan.send(mesh.rank_at(host, mesh.local() % mesh.ranks_on(host)), in);
  }
  std::vector<std::vector<Ready>> received;
  for (const int host : mesh.recv_order()) {
    received.push_back(receive_blocks(plan, mesh, blocks, host));
  }
  if (mesh.alone()) plan.copy(in, range_of(Space::kOut, own));
  spread_blocks(plan, mesh, blocks, mesh.host(), 0, {in, {}});
  const std::vector<int> order = mesh.recv_order();
  for (std::size_t i = 0; i < order.size(); ++i) {
    for (std::size_t turn = 0; turn < received[i].size(); ++turn) {
      spread_blocks(plan, mesh, blocks, order[i], static_cast<int>(turn), received[i][turn]);
    }
  }
  return std::move(plan).finish();
}

}  // namespace smddp
