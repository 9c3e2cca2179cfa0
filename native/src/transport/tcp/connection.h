#pragma once

#include <span>
#include <utility>

#include "smddp/status.h"
#include "smddp/types.h"

#include "base/completion.h"
#include "base/guarded_fd.h"
#include "transport/stream/inbox.h"
#include "transport/stream/outbox.h"
#include "transport/tcp/socket_stream.h"
#include "transport/transport.h"

namespace smddp {

/// The connection to one peer.
class Connection {
 public:
  Connection(Rank peer, GuardedFd socket)
      : peer_(peer), socket_(std::move(socket)), stream_(socket_.get()), inbox_(peer) {}
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  int descriptor() const noexcept { return socket_.get(); }
  /// The socket may be read or written again.
  void on_event() noexcept { readable_ = writable_ = true; }

  void send(const SendDesc& send, Token token) { outbox_.push_data(send, token); }
  void send_notice(std::span<const std::byte> bytes) { outbox_.push_notice(bytes); }
  void receive(const RecvDesc& recv, Token token) { inbox_.post(recv, token); }

  bool progress(CompletionSink& sink);
  /// Ends the connection when the peer's host does not answer any more. To be called about once a
  /// second.
  bool check_host(CompletionSink& sink);
  void abandon();
  bool flushed() const noexcept { return closed_ || !send_failure_.ok() || outbox_.empty(); }
  bool delivered() const noexcept;

 private:
  bool progress_sends(CompletionSink& sink);
  bool progress_receives(CompletionSink& sink);
  bool close(CompletionSink& sink, const Status& why);

  Rank peer_;
  GuardedFd socket_;
  SocketStream stream_;
  Outbox outbox_;
  Inbox inbox_;
  Status send_failure_;
  bool readable_ = true;
  bool writable_ = true;
  bool closed_ = false;
};

}  // namespace smddp
