#include "transport/tcp/connection.h"

#include <string>

namespace smddp {

bool Connection::progress(CompletionSink& sink) {
  if (closed_) return false;
  bool moved = stream_->advance(inbox_.is_held());
  moved |= progress_sends(sink);
  moved |= progress_receives(sink);
  // What came may have made room for more.
  return moved || progress_sends(sink);
}

bool Connection::progress_sends(CompletionSink& sink) {
  if (!stream_->can_write() || !send_failure_.ok() || outbox_.empty()) return false;
  Pumped pumped = outbox_.pump(*stream_, sink);
  // What the peer sent before its end is still to be read, and the end of it closes the connection.
  if (!pumped.failure.ok()) send_failure_ = pumped.failure;
  return pumped.moved;
}

bool Connection::progress_receives(CompletionSink& sink) {
  if (!stream_->can_read() && !inbox_.is_held()) return false;
  const Pumped pumped = inbox_.pump(*stream_, sink);
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
  if (closed_) return false;
  const Status answers = stream_->check_host();
  return !answers.ok() && close(sink, answers);
}

bool Connection::delivered() const noexcept {
  if (closed_ || !send_failure_.ok()) return true;
  return outbox_.empty() && stream_->delivered();
}

void Connection::abandon() {
  inbox_.abandon();
  if (closed_ || !send_failure_.ok()) {
    outbox_.clear();
  } else {
    outbox_.skip(stream_->settle());
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
