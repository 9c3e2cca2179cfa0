#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "smddp/deadline.h"
#include "smddp/status.h"

#include "base/unique_fd.h"

namespace smddp {

// Blocking socket helpers for the set-up phase. Every descriptor they make is close-on-exec and
// non-blocking; waiting is done with poll(2) up to the deadline. Errors name the address.

/// Listens on `address` (IPv4 text; empty = all interfaces), port 0 = any free port.
Result<UniqueFd> listen_tcp(const std::string& address, std::uint16_t port);
/// Connects to host (name or IPv4 text) and port, retrying refused connections until the deadline.
Result<UniqueFd> connect_tcp(const std::string& host, std::uint16_t port, Deadline deadline);
Result<std::uint16_t> local_port(int fd);
/// The far end of a connection for messages: "10.0.0.1:4567" or "@name" with unprintable bytes as
/// dots.
std::string peer_name(int fd);

/// Listens on an abstract unix socket (no file is created); the name may be any bytes up to 100.
Result<UniqueFd> listen_abstract(const std::string& name);
/// Connects to it, retrying while nobody listens until the deadline.
Result<UniqueFd> connect_abstract(const std::string& name, Deadline deadline);

/// kTimeout when nobody came.
Result<UniqueFd> accept_connection(int listening_fd, Deadline deadline);
Status send_all(int fd, std::span<const std::byte> bytes, Deadline deadline);
/// kPeerLost when the other side closes early.
Status recv_all(int fd, std::span<std::byte> bytes, Deadline deadline);

/// Length-prefixed (32 bit, little endian) strings; a longer announcement than `max_bytes` is an
/// error.
Status send_frame(int fd, const std::string& payload, Deadline deadline);
Result<std::string> recv_frame(int fd, std::size_t max_bytes, Deadline deadline);

}  // namespace smddp
