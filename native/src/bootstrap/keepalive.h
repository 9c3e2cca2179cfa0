#pragma once

namespace smddp {

/// Lets the kernel notice within about half a minute that the host at the other end of a TCP
/// connection is gone. Does nothing for other sockets.
void keep_alive(int fd) noexcept;

}  // namespace smddp
