#include "transport/tcp/socket_stream.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>

#include "base/fork_guard.h"
#include "transport/tcp/liveness.h"

namespace smddp {
namespace {

// Bounds what a destructor throws away from a peer that goes on sending: 32 MiB.
constexpr int kDiscardedReads = 2048;

// Waking up and reading takes as long as some 16 KiB do on a line of 10 Gbit/s.
constexpr std::size_t kLeastGathered = std::size_t{16} << 10;
constexpr std::size_t kMostGathered = std::size_t{64} << 10;

std::size_t size_of(std::span<const iovec> pieces) {
  std::size_t bytes = 0;
  for (const iovec& piece : pieces) bytes += piece.iov_len;
  return bytes;
}

msghdr message_of(std::span<const iovec> pieces) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces.data());  // the system only reads it
  message.msg_iovlen = pieces.size();
  return message;
}

}  // namespace

SocketStream::~SocketStream() {
  if (!socket_.valid() || in_forked_child()) return;
  ::shutdown(socket_.get(), SHUT_WR);
  // Closing a socket with unread bytes resets the connection, and what is still on its way to the
  // peer is lost.
  std::array<std::byte, 16384> unread;
  for (int reads = 0; reads < kDiscardedReads; ++reads) {
    if (::recv(socket_.get(), unread.data(), unread.size(), MSG_DONTWAIT) <= 0) break;
  }
}

ssize_t SocketStream::write(std::span<const iovec> pieces) {
  const msghdr message = message_of(pieces);
  const ssize_t sent = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0) {
    if (errno == EAGAIN) {
      writable_ = false;
    } else {
      readable_ = true;  // the reason is to be read
    }
  }
  return sent;
}

ssize_t SocketStream::read(std::span<const iovec> pieces, std::size_t lasting) {
  if (!readable_) {
    errno = EAGAIN;
    return -1;
  }
  msghdr message = message_of(pieces);
  const ssize_t got = ::recvmsg(socket_.get(), &message, MSG_DONTWAIT);
  const std::size_t bytes = got < 0 ? 0 : static_cast<std::size_t>(got);
  // What comes later is an event of its own, and so is the peer's end, unless it is known.
  const bool is_drained = got < 0 ? errno == EAGAIN : bytes < size_of(pieces) && !ended_;
  if (is_drained) {
    readable_ = false;
    let_gather(lasting > bytes ? lasting - bytes : 0);
    if (got < 0) errno = EAGAIN;
  }
  return got;
}

/// Where `left` bytes of a message are still to come, waking up for each packet of them would cost
/// more than all else that is done with them.
void SocketStream::let_gather(std::size_t left) noexcept {
  const std::size_t wanted = left < kLeastGathered ? 1 : std::min(left, kMostGathered);
  if (wanted == gathered_) return;
  const int bytes = static_cast<int>(wanted);
  // Where that fails, the socket tells sooner.
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes));
  gathered_ = wanted;
}

Status SocketStream::check_host() {
  if (!is_host_silent(socket_.get(), kHostPatience)) return {};
  return {StatusCode::kPeerLost, "its host does not answer any more"};
}

void SocketStream::abort() noexcept {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  socket_.reset();
}

std::size_t SocketStream::unacknowledged() const noexcept {
  int bytes = 0;
  return ::ioctl(socket_.get(), SIOCOUTQ, &bytes) == 0 ? static_cast<std::size_t>(bytes) : 0;
}

}  // namespace smddp
