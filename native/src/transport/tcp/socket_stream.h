#pragma once

#include "transport/stream/byte_stream.h"

namespace smddp {

/// A connected socket.
class SocketStream final : public ByteStream {
 public:
  explicit SocketStream(int socket) : socket_(socket) {}

  ssize_t write(std::span<const iovec> pieces) override;
  ssize_t read(std::span<const iovec> pieces) override;

 private:
  int socket_;  ///< somebody else's
};

}  // namespace smddp
