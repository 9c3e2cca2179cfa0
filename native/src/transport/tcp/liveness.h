#pragma once

#include <chrono>

namespace smddp {

/// Socket options of a data connection: no delay, and keep-alive probes that notice within about 15
/// s that an idle peer's host has vanished.
void tune_socket(int fd) noexcept;

/// How long a host may be silent before it counts as lost.
inline constexpr std::chrono::milliseconds kHostPatience{12'000};

/// True when the peer's host has not answered for so long although it should have. Keep-alive does
/// not work while data are on their way, and TCP_USER_TIMEOUT would also end connections to a peer
/// that is alive but does not take the data yet. Both are needed: to be asked about once a second.
bool is_host_silent(int fd, std::chrono::milliseconds patience) noexcept;

}  // namespace smddp
