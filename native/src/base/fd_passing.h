#pragma once

#include <span>
#include <vector>

#include "smddp/deadline.h"
#include "smddp/status.h"

#include "base/unique_fd.h"

namespace smddp {

/// Sends copies of descriptors over a connected unix socket; any number.
Status send_fds(int socket, std::span<const int> fds, Deadline deadline);
/// Receives exactly `count` descriptors, close-on-exec.
Result<std::vector<UniqueFd>> recv_fds(int socket, std::size_t count, Deadline deadline);

/// A descriptor that becomes readable when the process at the other end of the connected unix
/// socket is dead. Unlike the end of the connection, children forked from that process cannot hide
/// it.
Result<UniqueFd> open_peer_pidfd(int socket);
/// The same for this process.
Result<UniqueFd> open_own_pidfd();

}  // namespace smddp
