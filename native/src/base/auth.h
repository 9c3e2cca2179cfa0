#pragma once

#include <string>

#include "smddp/deadline.h"
#include "smddp/status.h"

namespace smddp {

// Mutual HMAC-SHA256 challenge over a fresh connection. Both sides prove that they know `secret`,
// for the same `context`; nothing secret crosses the wire and reads are bounded, so strays cost
// little. One side calls `authenticate_server`, the other `authenticate_client`; a failure is
// kInvalidArgument and the connection must be closed.
Status authenticate_server(int fd, const std::string& secret, const std::string& context,
                           Deadline deadline);
Status authenticate_client(int fd, const std::string& secret, const std::string& context,
                           Deadline deadline);

/// `size` random bytes from the kernel.
std::string random_bytes(std::size_t size);
/// Lower-case hexadecimal.
std::string to_hex(const std::string& bytes);

}  // namespace smddp
