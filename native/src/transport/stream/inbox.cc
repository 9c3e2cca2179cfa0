#include "transport/stream/inbox.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <string>

#include "transport/transport.h"

namespace smddp {
namespace {

// More would let one fast peer keep the others waiting.
constexpr int kReadsAtOnce = 4;

}  // namespace

Pumped Inbox::pump(ByteStream& stream, CompletionSink& sink) {
  Pumped result;
  for (int reads = 0;; ++reads) {
    if (consume(sink, result) != Need::kBytes || reads == kReadsAtOnce) return result;
    const ssize_t got = read(stream);
    if (got > 0) {
      result.moved = true;
    } else if (got == 0) {
      result.failure = end_of_stream();
      return result;
    } else if (errno == EAGAIN) {
      result.blocked = true;
      return result;
    } else if (errno != EINTR) {
      result.failure = {StatusCode::kPeerLost, std::strerror(errno)};
      return result;
    }
  }
}

void Inbox::abandon() {
  discard_ = true;
  receives_.clear();
}

Inbox::Need Inbox::consume(CompletionSink& sink, Pumped& result) {
  held_ = false;
  for (;;) {
    if (!head_.has_value()) {
      if (buffered() < sizeof(FrameHeader)) return Need::kBytes;
      if (!accept_header(result)) return Need::kNothing;
    }
    const bool is_notice = head_->kind == FrameKind::kNotice;
    const Need need = is_notice ? consume_notice(sink, result) : consume_data(sink, result);
    if (head_.has_value()) return need;
  }
}

bool Inbox::accept_header(Pumped& result) {
  FrameHeader header;
  std::memcpy(&header, buffer_.data() + begin_, sizeof(header));
  const bool known =
      header.kind == FrameKind::kData ||
      (header.kind == FrameKind::kNotice && header.bytes <= Transport::kMaxNoticeBytes);
  if (header.magic != FrameHeader::kMagic || !known) {
    result.failure = {StatusCode::kPeerLost,
                      "it sent bytes that are no message of this version of smddp"};
    return false;
  }
  begin_ += sizeof(header);
  head_ = header;
  received_ = 0;
  started_ = false;
  return true;
}

Inbox::Need Inbox::consume_notice(CompletionSink& sink, Pumped& result) {
  if (buffered() < head_->bytes) return Need::kBytes;
  const std::span<const std::byte> notice{buffer_.data() + begin_, head_->bytes};
  begin_ += notice.size();
  head_.reset();
  result.moved = true;
  sink.notice(peer_, notice);
  return Need::kNothing;
}

Inbox::Need Inbox::consume_data(CompletionSink& sink, Pumped& result) {
  if (!started_ && !may_start(sink)) {
    held_ = true;
    return Need::kReceive;
  }
  take_payload();
  if (payload_left() > 0) return Need::kBytes;
  head_.reset();
  result.moved = true;
  if (!discard_) {
    const Token token = receives_.pop().token;
    sink.complete(token, {});
  }
  return Need::kNothing;
}

bool Inbox::may_start(CompletionSink& sink) {
  if (!discard_ && !mismatched_) {
    if (receives_.empty()) return false;
    if (!receives_.front().matches(head_->bytes, head_->tag, head_->envelope)) {
      mismatched_ = true;
      sink.mismatch(peer_, head_->envelope);  // may abandon, which makes the next line true
    }
  }
  started_ = discard_ || !mismatched_;
  return started_;
}

void Inbox::take_payload() {
  const std::size_t part = std::min(buffered(), payload_left());
  if (part > 0 && !discard_)
    std::memcpy(receives_.front().data + received_, buffer_.data() + begin_, part);
  begin_ += part;
  received_ += part;
}

ssize_t Inbox::read(ByteStream& stream) {
  // What is left is less than a header or a notice, so moving it is cheap.
  std::memmove(buffer_.data(), buffer_.data() + begin_, buffered());
  end_ -= begin_;
  begin_ = 0;

  std::array<iovec, 2> pieces;
  std::size_t count = 0;
  std::size_t direct = 0;
  if (in_payload() && !discard_) {
    direct = payload_left();
    pieces[count++] = {receives_.front().data + received_, direct};
  }
  pieces[count++] = {buffer_.data() + end_, buffer_.size() - end_};
  const ssize_t got = stream.read(std::span{pieces.data(), count}, direct);
  if (got > 0) {
    const std::size_t to_payload = std::min(static_cast<std::size_t>(got), direct);
    received_ += to_payload;
    end_ += static_cast<std::size_t>(got) - to_payload;
  }
  return got;
}

Status Inbox::end_of_stream() const {
  if (!head_.has_value() && buffered() == 0)
    return {StatusCode::kPeerLost, "it closed the connection"};
  return {StatusCode::kPeerLost, "it closed the connection in the middle of a message"};
}

}  // namespace smddp
