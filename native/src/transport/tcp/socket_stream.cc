#include "transport/tcp/socket_stream.h"

#include <sys/socket.h>

namespace smddp {
namespace {

msghdr message_of(std::span<const iovec> pieces) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces.data());  // the system only reads it
  message.msg_iovlen = pieces.size();
  return message;
}

}  // namespace

ssize_t SocketStream::write(std::span<const iovec> pieces) {
  const msghdr message = message_of(pieces);
  return ::sendmsg(socket_, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

ssize_t SocketStream::read(std::span<const iovec> pieces) {
  msghdr message = message_of(pieces);
  return ::recvmsg(socket_, &message, MSG_DONTWAIT);
}

}  // namespace smddp
