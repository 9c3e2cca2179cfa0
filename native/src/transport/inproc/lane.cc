#include "transport/inproc/lane.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace smddp {
namespace {

// Copies happen under the lane's lock, which keeps the sender from taking its bytes back meanwhile;
// the bound keeps the sender's thread from waiting long.
constexpr std::size_t kCopyAtOnce = 256 * 1024;

}  // namespace

void Lane::send(const SendDesc& send, Token token) {
  Message message;
  message.data = send.data;
  message.bytes = send.bytes;
  message.tag = send.tag;
  message.envelope = *send.envelope;
  message.token = token;
  const std::lock_guard lock(mutex_);
  messages_.push_back(std::move(message));
}

void Lane::send_notice(std::span<const std::byte> bytes) {
  Message message;
  message.is_notice = true;
  message.notice.assign(bytes.begin(), bytes.end());
  const std::lock_guard lock(mutex_);
  messages_.push_back(std::move(message));
}

void Lane::collect_sent(std::vector<Token>& tokens) {
  const std::lock_guard lock(mutex_);
  tokens.insert(tokens.end(), sent_.begin(), sent_.end());
  sent_.clear();
}

void Lane::forget_sends() {
  const std::lock_guard lock(mutex_);
  drop_sends();
}

void Lane::close() {
  const std::lock_guard lock(mutex_);
  drop_sends();
  closed_ = true;
}

bool Lane::has_sends() const {
  const std::lock_guard lock(mutex_);
  return std::any_of(messages_.begin(), messages_.end(),
                     [](const Message& message) { return !message.is_notice; });
}

Lane::Event Lane::take(const PostedReceive* posted, bool discard) {
  const std::lock_guard lock(mutex_);
  if (messages_.empty()) return closed_ ? Event{Closed{}} : Event{Nothing{}};
  const Message& head = messages_.front();
  if (head.is_notice) return take_notice();
  if (discard) {
    finish_head();
    return Discarded{};
  }
  if (posted == nullptr) return Nothing{};
  if (!posted->matches(head.bytes, head.tag, head.envelope)) return Mismatch{head.envelope};
  return copy_to(*posted);
}

Lane::Event Lane::take_notice() {
  Notice notice{std::move(messages_.front().notice)};
  messages_.pop_front();
  return notice;
}

Lane::Event Lane::copy_to(const PostedReceive& posted) {
  Message& head = messages_.front();
  const std::size_t piece = std::min(kCopyAtOnce, head.bytes - head.copied);
  if (piece > 0) std::memcpy(posted.data + head.copied, head.data + head.copied, piece);
  head.copied += piece;
  if (head.copied < head.bytes) return Moved{};
  finish_head();
  return Received{posted.token};
}

void Lane::finish_head() {
  sent_.push_back(messages_.front().token);
  messages_.pop_front();
}

void Lane::drop_sends() {
  std::erase_if(messages_, [](const Message& message) { return !message.is_notice; });
  sent_.clear();
}

}  // namespace smddp
