#include "bootstrap/store_connection.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "base/wire.h"

namespace smddp {

StoreConnection::StoreConnection(GuardedFd fd, const std::string& secret)
    : fd_(std::move(fd)), handshake_(std::in_place, secret, std::string(kStoreContext)) {
  head_ = handshake_->challenge();
}

short StoreConnection::events() const noexcept {
  // An answer that the client does not take holds back its next request: memory stays bounded.
  return head_.empty() ? POLLIN : POLLOUT;
}

bool StoreConnection::progress() {
  if (!flush()) return false;
  return !head_.empty() || fill();
}

bool StoreConnection::flush() {
  const std::size_t body_bytes = body_ ? body_->size() : 0;
  while (sent_ < head_.size() + body_bytes) {
    const bool in_head = sent_ < head_.size();
    const char* data = in_head ? head_.data() + sent_ : body_->data() + (sent_ - head_.size());
    const std::size_t size = in_head ? head_.size() - sent_ : head_.size() + body_bytes - sent_;
    const int more = in_head && body_bytes > 0 ? MSG_MORE : 0;
    const ssize_t sent = ::send(fd_.get(), data, size, MSG_NOSIGNAL | more);
    if (sent < 0 && errno == EAGAIN) return true;
    if (sent < 0 && errno != EINTR) return false;
    if (sent > 0) sent_ += static_cast<std::size_t>(sent);
  }
  head_.clear();
  body_.reset();
  sent_ = 0;
  return true;
}

std::size_t StoreConnection::wanted_bytes() const noexcept {
  if (handshake_) return kAnswerBytes;
  if (in_.size() < kFrameHeaderBytes) return kFrameHeaderBytes;
  return kFrameHeaderBytes + WireReader(in_).u32();
}

bool StoreConnection::fill() {
  while (head_.empty() && !request_) {
    std::array<char, 65536> chunk;
    // A client waits for its answer before it goes on, so while one is due this read
    // can only find the end.
    const std::size_t wanted = busy_ ? 1 : std::min(chunk.size(), wanted_bytes() - in_.size());
    const ssize_t got = ::recv(fd_.get(), chunk.data(), wanted, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno == EAGAIN;
    if (got == 0 || busy_) return false;
    in_.append(chunk.data(), static_cast<std::size_t>(got));
    if (in_.size() >= kFrameHeaderBytes && wanted_bytes() > kFrameHeaderBytes + kMaxStoreFrame)
      return false;
    if (in_.size() < wanted_bytes()) continue;
    if (!(handshake_ ? finish_handshake() : parse_frame())) return false;
  }
  return true;
}

bool StoreConnection::finish_handshake() {
  const auto proof = handshake_->check(in_);
  if (!proof.ok()) {
    head_ = ServerHandshake::refusal();
    flush();  // fits into the empty socket buffer
    return false;
  }
  head_ = proof.value();
  handshake_.reset();
  in_.clear();
  return flush();
}

bool StoreConnection::parse_frame() {
  request_ = decode_request(std::string_view(in_).substr(kFrameHeaderBytes));
  in_ = {};  // gives the memory of a large value back
  return request_.has_value();
}

std::optional<StoreRequest> StoreConnection::take_request() {
  busy_ = busy_ || request_.has_value();
  return std::exchange(request_, std::nullopt);
}

void StoreConnection::answer(StoreAnswer code, KeyValues::Value body) {
  const std::size_t body_bytes = body ? body->size() : 0;
  head_ = WireWriter()
              .u32(static_cast<std::uint32_t>(1 + body_bytes))
              .u8(static_cast<std::uint8_t>(code))
              .take();
  body_ = std::move(body);
  busy_ = false;
  awaited_key_.reset();
  flush();  // a failure shows again at the next progress()
}

}  // namespace smddp
