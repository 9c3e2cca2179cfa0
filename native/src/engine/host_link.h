#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "smddp/deadline.h"
#include "smddp/status.h"
#include "smddp/types.h"

#include "bootstrap/identity.h"
#include "engine/peer_process.h"
#include "memory/mapping.h"

namespace smddp {

class RuntimeImpl;

/// What the ranks of one host share.
struct HostLink {
  Mapping segment;
  // By local rank:
  std::vector<std::shared_ptr<PeerProcess>> peers;  ///< null for this rank itself
  std::vector<std::span<std::byte>> heaps;          ///< registered memory; lives as long as `peers`
};

struct HostLinkRequest {
  std::vector<RankInfo> members;  ///< of this host, by local rank
  std::vector<Rank> labels;       ///< what messages call the group's ranks
  int self = 0;                   ///< local rank
  std::size_t segment_bytes = 0;
  std::string secret;
  std::string context;    ///< names the communicator
  int listening_fd = -1;  ///< of the abstract socket published in this rank's RankInfo
};

/// The local rank 0 makes a memory file and hands it to the others over unix sockets, together with
/// every member's bell, registered memory, and a descriptor by which its death is seen. That the
/// hand-over works is the proof of being on one host.
Result<HostLink> link_host(RuntimeImpl& runtime, const HostLinkRequest& request, Deadline deadline);

}  // namespace smddp
