#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "base/guarded_fd.h"
#include "transport/tcp/tcp_stream.h"

namespace smddp {

/// A connected socket. Its end sends what is left and then closes.
class SocketStream final : public TcpStream {
 public:
  explicit SocketStream(GuardedFd socket) : socket_(std::move(socket)) {}
  SocketStream(const SocketStream&) = delete;
  SocketStream& operator=(const SocketStream&) = delete;
  ~SocketStream() override;

  int descriptor() const noexcept { return socket_.get(); }
  /// The socket may be read or written again; `ended`: the peer writes nothing more.
  void on_event(bool ended) noexcept {
    readable_ = writable_ = true;
    ended_ |= ended;
  }

  ssize_t write(std::span<const iovec> pieces) override;
  ssize_t read(std::span<const iovec> pieces, std::size_t lasting) override;
  bool can_read() const noexcept override { return readable_; }
  bool can_write() const noexcept override { return writable_; }
  bool delivered() const override { return unacknowledged() == 0; }
  Status check_host() override;
  std::vector<SocketStream*> sockets() override { return {this}; }

  /// Closes at once, without the end that a peer who leaves sends.
  void abort() noexcept;
  /// Bytes that the peer's host has not got yet.
  std::size_t unacknowledged() const noexcept;

 private:
  void let_gather(std::size_t left) noexcept;

  GuardedFd socket_;
  bool readable_ = true;
  bool writable_ = true;
  bool ended_ = false;
  std::size_t gathered_ = 1;  ///< the system tells no sooner than when so many bytes are there
};

}  // namespace smddp
