#include "transport/ofi/outbound.h"

#include <algorithm>
#include <utility>

#include "transport/ofi/control.h"

namespace smddp {
namespace {

// More would let one long message keep those of other peers waiting.
constexpr int kChunksAtOnce = 4;

MessageHeader header_of(MessageKind kind, std::uint64_t sequence) {
  MessageHeader header;
  header.kind = kind;
  header.sequence = sequence;
  return header;
}

}  // namespace

void Outbound::push(const SendDesc& send, Token token) {
  if (state_ == State::kClosed) return;
  Queued message;
  message.data = send.data;
  message.bytes = send.bytes;
  message.tag = send.tag;
  message.envelope = *send.envelope;
  message.token = token;
  queue_.push(std::move(message));
}

void Outbound::push_notice(std::span<const std::byte> bytes) {
  if (state_ == State::kClosed) return;
  Queued message;
  message.notice.assign(bytes.begin(), bytes.end());
  queue_.push(std::move(message));
}

bool Outbound::pump() {
  bool moved = false;
  while (!queue_.empty() && start(queue_.front())) {
    queue_.pop();
    moved = true;
  }
  for (std::size_t i = 0; i < long_.size(); ++i) moved |= write_chunks(long_[i]);
  return moved;
}

bool Outbound::report(CompletionSink& sink) {
  bool moved = false;
  // The sink may post or abandon from inside `complete`.
  while (!sent_.empty()) {
    sink.complete(sent_.pop(), {});
    moved = true;
  }
  return moved;
}

bool Outbound::start(const Queued& message) {
  if (!message.token.has_value()) {
    control_.post_notice(link_.peer(), ControlWord{ControlKind::kNote, started_}.bytes());
    control_.post_notice(link_.peer(), message.notice);
    return true;
  }
  if (state_ == State::kDiscarding) {
    sent_.push(*message.token);
    return true;
  }
  if (!link_.is_usable() || started_ - taken_ >= link_.their_messages()) return false;
  const bool started =
      message.bytes <= link_.longest_eager() ? start_short(message) : start_long(message);
  if (started) ++started_;
  return started;
}

bool Outbound::start_short(const Queued& message) {
  MessageHeader header = header_of(MessageKind::kEager, started_);
  header.tag = message.tag;
  header.bytes = message.bytes;
  header.envelope = message.envelope;
  if (!link_.send(header, {message.data, message.bytes}, message.token)) return false;
  ++short_in_flight_;
  return true;
}

bool Outbound::start_long(const Queued& message) {
  if (unanswered_ >= link_.their_messages()) return false;
  MessageHeader header = header_of(MessageKind::kAnnounce, started_);
  header.tag = message.tag;
  header.bytes = message.bytes;
  header.envelope = message.envelope;
  if (!link_.send(header, {})) return false;
  LongSend send;
  send.data = message.data;
  send.bytes = message.bytes;
  send.token = *message.token;
  send.sequence = started_;
  long_.push(std::move(send));
  ++unanswered_;
  return true;
}

bool Outbound::write_chunks(LongSend& send) {
  bool moved = false;
  for (int chunk = 0; chunk < kChunksAtOnce; ++chunk) {
    if (!send.ready.has_value() || send.posted == send.bytes || !write_chunk(send)) break;
    moved = true;
  }
  return moved;
}

bool Outbound::write_chunk(LongSend& send) {
  if (!link_.is_usable()) return false;
  if (!link_.lease({send.data, send.bytes}, MemoryUse::kSource, send.leases)) return false;
  const std::size_t chunk = send.posted / send.ready->chunk_bytes;
  const std::size_t number = rail_of_chunk(send.sequence, chunk, link_.paths().size());
  const auto& [rail, to] = link_.paths()[number];
  const std::uint32_t name = chunk_name(send.ready->slot, static_cast<std::uint32_t>(chunk));
  const LocalBytes bytes{const_cast<std::byte*>(send.data) + send.posted,  // only read
                         std::min<std::size_t>(send.ready->chunk_bytes, send.bytes - send.posted),
                         send.leases[number].handle()};
  Operation& operation = rail->take_operation(
      OperationKind::kWrite, static_cast<std::uint32_t>(send.sequence), link_.channel());
  const WritePlace& there = send.ready->places[number];
  const RemotePlace place{there.address + send.posted, there.key, name};
  Endpoint& endpoint = rail->endpoint();
  if (!link_.check(endpoint.has_rma() ? endpoint.write(bytes, place, to, operation)
                                      : endpoint.send_tagged(bytes, name, to, operation))) {
    rail->give_back(operation);
    return false;
  }
  send.posted += bytes.bytes;
  ++send.in_flight;
  return true;
}

void Outbound::on_taken(std::uint64_t taken) noexcept {
  // Messages overtake each other, and an older one says less.
  if (taken > taken_ && taken <= started_) taken_ = taken;
}

void Outbound::on_ready(std::uint64_t sequence, const ReadyBody& ready) {
  LongSend* const send = find(static_cast<std::uint32_t>(sequence));
  if (send == nullptr || send->sequence != sequence || send->ready.has_value()) return;
  if (ready.chunk_bytes == 0 || ready.slot >= kMostSlots) return;
  --unanswered_;
  send->ready = ready;
}

void Outbound::on_sent(Token token, bool ok) {
  --short_in_flight_;
  if (state_ == State::kClosed) return;
  if (ok || state_ == State::kDiscarding) sent_.push(token);
}

void Outbound::on_written(std::uint32_t number) {
  LongSend* const send = find(number);
  if (send == nullptr) return;
  --send->in_flight;
  if (send->in_flight > 0 || state_ == State::kClosed) return;
  const bool whole = send->posted == send->bytes && link_.failure().ok();
  if (whole || state_ == State::kDiscarding) finish(*send);
  retire();
}

void Outbound::discard() {
  if (state_ != State::kOpen) return;
  state_ = State::kDiscarding;
  for (std::size_t i = 0; i < long_.size(); ++i) {
    if (!long_[i].done && long_[i].in_flight == 0) finish(long_[i]);
  }
  retire();
}

void Outbound::abandon() {
  RingQueue<Queued> notices;
  while (!queue_.empty()) {
    Queued message = queue_.pop();
    if (!message.token.has_value()) notices.push(std::move(message));
  }
  queue_ = std::move(notices);
  long_.clear();
  short_in_flight_ = 0;
  sent_.clear();
}

void Outbound::close() {
  // What the card still reads stays registered until the endpoint closes.
  queue_.clear();
  state_ = State::kClosed;
}

bool Outbound::empty() const noexcept {
  return state_ == State::kClosed || (queue_.empty() && long_.empty() && short_in_flight_ == 0);
}

bool Outbound::has_data() const noexcept {
  if (!long_.empty() || short_in_flight_ > 0) return true;
  for (std::size_t i = 0; i < queue_.size(); ++i) {
    if (queue_[i].token.has_value()) return true;
  }
  return false;
}

Outbound::LongSend* Outbound::find(std::uint32_t number) {
  for (std::size_t i = 0; i < long_.size(); ++i) {
    if (static_cast<std::uint32_t>(long_[i].sequence) == number) return &long_[i];
  }
  return nullptr;
}

void Outbound::finish(LongSend& send) {
  send.done = true;
  send.leases = {};
  sent_.push(send.token);
}

void Outbound::retire() {
  while (!long_.empty() && long_.front().done) long_.pop();
}

}  // namespace smddp
