#pragma once

#include <memory>
#include <span>
#include <utility>

#include "smddp/status.h"
#include "smddp/types.h"

#include "base/completion.h"
#include "transport/stream/inbox.h"
#include "transport/stream/outbox.h"
#include "transport/tcp/tcp_stream.h"
#include "transport/transport.h"

namespace smddp {

/// The connection to one peer.
class Connection {
 public:
  Connection(Rank peer, std::unique_ptr<TcpStream> stream)
      : peer_(peer), stream_(std::move(stream)), inbox_(peer) {}

  TcpStream& stream() noexcept { return *stream_; }

  void send(const SendDesc& send, Token token) { outbox_.push_data(send, token); }
  void send_notice(std::span<const std::byte> bytes) { outbox_.push_notice(bytes); }
  void receive(const RecvDesc& recv, Token token) { inbox_.post(recv, token); }

  bool progress(CompletionSink& sink);
  /// Ends the connection when the peer's host does not answer any more. To be called about once a
  /// second.
  bool check_host(CompletionSink& sink);
  void abandon();
  bool flushed() const noexcept {
    return closed_ || !send_failure_.ok() || (outbox_.empty() && stream_->flushed());
  }
  bool delivered() const noexcept;

 private:
  bool progress_sends(CompletionSink& sink);
  bool progress_receives(CompletionSink& sink);
  bool close(CompletionSink& sink, const Status& why);

  Rank peer_;
  std::unique_ptr<TcpStream> stream_;
  Outbox outbox_;
  Inbox inbox_;
  Status send_failure_;
  bool closed_ = false;
};

}  // namespace smddp
