#include "transport/tcp/connection.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <string>

#include "base/fork_guard.h"
#include "transport/tcp/liveness.h"

namespace smddp {
namespace {

// Bounds what a destructor throws away from a peer that goes on sending: 32 MiB.
constexpr int kDiscardedReads = 2048;

}  // namespace

Connection::~Connection() {
  if (!socket_.valid() || in_forked_child()) return;
  ::shutdown(socket_.get(), SHUT_WR);
  // Closing a socket with unread bytes resets the connection, and what is still on its way to the
  // peer is lost.
  std::array<std::byte, 16384> unread;
  for (int reads = 0; reads < kDiscardedReads; ++reads) {
    if (::recv(socket_.get(), unread.data(), unread.size(), MSG_DONTWAIT) <= 0) break;
  }
}

bool Connection::progress(CompletionSink& sink) {
  if (closed_) return false;
  const bool sent = progress_sends(sink);
  return progress_receives(sink) || sent;
}

bool Connection::progress_sends(CompletionSink& sink) {
  if (!writable_ || !send_failure_.ok() || outbox_.empty()) return false;
  Pumped pumped = outbox_.pump(stream_, sink);
  if (pumped.blocked) writable_ = false;
  if (!pumped.failure.ok()) {
    // What the peer sent before its end is still to be read, and the end of it closes the
    // connection.
    send_failure_ = pumped.failure;
    readable_ = true;
  }
  return pumped.moved;
}

bool Connection::progress_receives(CompletionSink& sink) {
  if (!readable_) return false;
  const Pumped pumped = inbox_.pump(stream_, sink);
  if (pumped.blocked) readable_ = false;
  if (!pumped.failure.ok()) return close(sink, send_failure_.ok() ? pumped.failure : send_failure_);
  if (!send_failure_.ok() && !pumped.moved) {
    // Nothing more will come, or it waits for a receive that may not come before a send that cannot
    // succeed.
    if (pumped.blocked || (inbox_.is_held() && outbox_.has_data()))
      return close(sink, send_failure_);
  }
  return pumped.moved;
}

bool Connection::check_host(CompletionSink& sink) {
  if (closed_ || !is_host_silent(socket_.get())) return false;
  return close(sink, {StatusCode::kPeerLost, "its host does not answer any more"});
}

bool Connection::delivered() const noexcept {
  if (closed_ || !send_failure_.ok()) return true;
  int unacknowledged = 0;
  return outbox_.empty() &&
         (::ioctl(socket_.get(), SIOCOUTQ, &unacknowledged) != 0 || unacknowledged == 0);
}

void Connection::abandon() {
  inbox_.abandon();
  if (closed_ || !send_failure_.ok()) {
    outbox_.clear();
  } else {
    outbox_.abandon();
  }
}

bool Connection::close(CompletionSink& sink, const Status& why) {
  closed_ = true;
  sink.peer_closed(peer_, {StatusCode::kPeerLost,
                           "rank " + std::to_string(peer_) + " is gone: " + why.message()});
  return true;
}

}  // namespace smddp
