#include "transport/stream/outbox.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace smddp {
namespace {

// More would let one fast peer keep the others waiting.
constexpr int kWritesAtOnce = 4;

iovec piece_of(const void* data, std::size_t bytes) {
  return {const_cast<void*>(data), bytes};  // the stream only reads
}

}  // namespace

void Outbox::push_data(const SendDesc& send, Token token) {
  Outgoing frame;
  frame.header.kind = FrameKind::kData;
  frame.header.tag = send.tag;
  frame.header.bytes = send.bytes;
  frame.header.envelope = *send.envelope;
  frame.data = send.data;
  frame.token = token;
  queue_.push(std::move(frame));
}

void Outbox::push_notice(std::span<const std::byte> bytes) {
  Outgoing frame;
  frame.header.kind = FrameKind::kNotice;
  frame.header.bytes = bytes.size();
  frame.owned.assign(bytes.begin(), bytes.end());
  frame.data = frame.owned.data();
  queue_.push(std::move(frame));
}

Pumped Outbox::pump(ByteStream& stream, CompletionSink& sink) {
  Pumped result;
  for (int write = 0; write < kWritesAtOnce && !queue_.empty(); ++write) {
    Pieces pieces;
    const std::size_t count = gather(pieces);
    const ssize_t sent = stream.write(std::span{pieces.data(), count});
    if (sent >= 0) {
      result.moved = true;
      account(static_cast<std::size_t>(sent));
      retire(sink);
    } else if (errno == EAGAIN) {
      result.blocked = true;
      break;
    } else if (errno == ENOBUFS || errno == ENOMEM) {
      break;  // the system is short of memory for the moment; no event will tell when it is over
    } else if (errno != EINTR) {
      result.failure = {StatusCode::kPeerLost, std::strerror(errno)};
      break;
    }
  }
  return result;
}

void Outbox::abandon() {
  RingQueue<Outgoing> kept;
  while (!queue_.empty()) {
    Outgoing frame = queue_.pop();
    const bool is_notice = frame.header.kind == FrameKind::kNotice;
    if (!is_notice && (frame.sent == 0 || frame.sent == frame.size())) continue;
    if (!is_notice && frame.token.has_value()) own_payload(frame);
    kept.push(std::move(frame));
  }
  queue_ = std::move(kept);
}

bool Outbox::has_data() const noexcept {
  for (std::size_t i = 0; i < queue_.size(); ++i) {
    if (queue_[i].token.has_value()) return true;
  }
  return false;
}

std::size_t Outbox::gather(Pieces& pieces) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < std::min(queue_.size(), kFramesAtOnce); ++i) {
    Outgoing& frame = queue_[i];
    std::size_t payload_sent = 0;
    if (frame.sent < sizeof(FrameHeader)) {
      const auto* header = reinterpret_cast<const std::byte*>(&frame.header);
      pieces[count++] = piece_of(header + frame.sent, sizeof(FrameHeader) - frame.sent);
    } else {
      payload_sent = frame.sent - sizeof(FrameHeader);
    }
    if (payload_sent < frame.header.bytes) {
      pieces[count++] =
          piece_of(frame.data + (payload_sent - frame.skipped), frame.header.bytes - payload_sent);
    }
  }
  return count;
}

void Outbox::account(std::size_t bytes) {
  for (std::size_t i = 0; bytes > 0; ++i) {
    Outgoing& frame = queue_[i];
    const std::size_t part = std::min(bytes, frame.size() - frame.sent);
    frame.sent += part;
    bytes -= part;
  }
}

void Outbox::retire(CompletionSink& sink) {
  // The sink may post or abandon from inside `complete`, so each round looks at the queue afresh.
  while (!queue_.empty() && queue_.front().sent == queue_.front().size()) {
    const std::optional<Token> token = queue_.pop().token;
    if (token.has_value()) sink.complete(*token, {});
  }
}

// Only what is still to be written: a message may be larger than the memory that is left.
void Outbox::own_payload(Outgoing& frame) {
  frame.skipped = frame.sent > sizeof(FrameHeader) ? frame.sent - sizeof(FrameHeader) : 0;
  frame.owned.assign(frame.data + frame.skipped, frame.data + frame.header.bytes);
  frame.data = frame.owned.data();
  frame.token.reset();
}

}  // namespace smddp
