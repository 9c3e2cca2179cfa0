#pragma once

#include <memory>
#include <string>
#include <vector>

#include "smddp/topology.h"

#include "base/signature.h"
#include "base/wakeup.h"
#include "bootstrap/identity.h"
#include "engine/board.h"
#include "engine/peer_process.h"
#include "memory/mapping.h"
#include "plan/planner.h"
#include "provider/provider.h"
#include "topology/placement.h"
#include "transport/transport.h"

namespace smddp {

/// Rings those ranks of this host whose engine threads sleep.
class LocalBell final : public PeerBell {
 public:
  /// `peers[j]` is null for this rank itself. The board outlives the bell.
  LocalBell(const Board& board, std::vector<std::shared_ptr<PeerProcess>> peers)
      : board_(board), peers_(std::move(peers)) {}

  void ring() noexcept override;
  void ring_one(int local) noexcept override;
  const std::vector<std::shared_ptr<PeerProcess>>& peers() const noexcept { return peers_; }

 private:
  const Board& board_;
  std::vector<std::shared_ptr<PeerProcess>> peers_;
};

/// What exists once the members of a communicator have met. Destroyed from the bottom up: nothing
/// that could still touch the segment outlives it.
struct Group {
  Rank self = 0;
  Placement placement = Placement::one_host(1);
  Topology topology;  ///< its hosts are those of `placement`
  Policy policy;
  std::vector<RankInfo> ranks;
  std::vector<Rank> labels;
  Mapping segment;
  std::unique_ptr<Board> board;
  std::unique_ptr<LocalBell> bell;
  std::unique_ptr<Provider> provider;    ///< null when this rank is alone on its host
  std::unique_ptr<Transport> transport;  ///< null when all ranks are on one host
  // Messages between two ranks have connections of their own, so that neither they nor collectives
  // wait behind the other's data.
  std::unique_ptr<Transport> messages_here;     ///< null when this rank is alone on its host
  std::unique_ptr<Transport> messages_between;  ///< null when all ranks are on one host
  std::string transport_name;  ///< for people: "shm", "tcp", "shm+tcp", "inproc", "none"

  const std::vector<Rank>& local_ranks() const {
    return placement.ranks_on(placement.host_of(self));
  }
  int local_self() const { return placement.local_rank(self); }
  /// "rank 3 (hostB, pid 123)"
  std::string name_of(Rank rank) const;
  /// As `smddp::describe`, with the root as people call it.
  std::string describe(Signature operation) const;
};

}  // namespace smddp
