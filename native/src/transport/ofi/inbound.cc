#include "transport/ofi/inbound.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace smddp {

void Inbound::hold_notice(std::uint64_t after, std::span<const std::byte> bytes) {
  notices_.push({after, {bytes.begin(), bytes.end()}});
}

bool Inbound::keep(std::uint32_t buffer, const MessageHeader& header) {
  if (abandoned_ || ended_ || header.sequence - next_ >= window_.size()) return false;
  Arrived& place = arrived_at(header.sequence);
  if (place.present) return false;
  place = {buffer, true, header.kind == MessageKind::kAnnounce};
  return true;
}

void Inbound::on_chunk(std::uint64_t sequence) {
  const std::uint64_t place = sequence - reported_;
  if (place >= matched_.size()) return;
  Matched& matched = matched_[place];
  if (!matched.slot.has_value() || --matched.chunks_left > 0) return;
  link_.rails().slots().close(*matched.slot);
  matched.slot.reset();
  matched.leases = {};
  matched.done = true;
}

bool Inbound::pump() {
  bool moved = false;
  while (match_next()) moved = true;
  while (answer_next()) moved = true;
  return link_.give_credit() || moved;
}

bool Inbound::match_next() {
  if (posted_.empty() || mismatched_ || !link_.has_rails()) return false;
  const Arrived* const found = find_arrived(next_);
  if (found == nullptr) return false;
  OfiRail& rail = link_.rails()[0];
  const auto buffer = rail.received(found->buffer);
  MessageHeader header;
  std::memcpy(&header, buffer.data(), sizeof(header));
  if (!posted_.front().matches(header.bytes, header.tag, header.envelope)) {
    mismatched_ = true;
    mismatch_ = header.envelope;
    return true;
  }
  Matched matched;
  matched.receive = posted_.pop();
  matched.sequence = next_;
  matched.done = !found->is_long;
  if (found->is_long) {
    to_answer_.push(next_);
  } else if (header.bytes > 0) {
    std::memcpy(matched.receive.data, buffer.data() + sizeof(header), header.bytes);
  }
  rail.give_back_received(found->buffer);
  arrived_at(next_) = {};
  ++next_;
  link_.note_taken();
  matched_.push(std::move(matched));
  return true;
}

bool Inbound::answer_next() {
  if (to_answer_.empty() || !link_.is_usable()) return false;
  Matched& matched = matched_[to_answer_.front() - reported_];
  const PostedReceive& receive = matched.receive;
  OfiRails& rails = link_.rails();
  if (!matched.slot.has_value()) {
    matched.chunk_bytes = chunk_bytes_of(receive.bytes, rails.rule(link_.paths().size()));
    matched.chunks_left = chunks_in(receive.bytes, matched.chunk_bytes);
    matched.slot = rails.slots().open(link_.channel(), matched.sequence, matched.chunks_left);
    if (!matched.slot.has_value()) return false;
  }
  if (!link_.lease({receive.data, receive.bytes}, MemoryUse::kTarget, matched.leases)) return false;
  if (!rails.first().has_rma() && !post_chunks(matched)) return false;
  if (!send_ready(matched)) return false;
  to_answer_.pop();
  return true;
}

bool Inbound::send_ready(const Matched& matched) {
  ReadyBody ready;
  ready.chunk_bytes = matched.chunk_bytes;
  ready.slot = *matched.slot;
  const std::size_t rails = link_.paths().size();
  for (std::size_t i = 0; link_.rails().first().has_rma() && i < rails; ++i)
    ready.places[i] = {matched.leases[i].address_of(matched.receive.data), matched.leases[i].key()};
  MessageHeader header;
  header.kind = MessageKind::kReady;
  header.sequence = matched.sequence;
  return link_.send(header, std::as_bytes(std::span{&ready, 1}).first(ReadyBody::bytes_for(rails)));
}

bool Inbound::post_chunks(Matched& matched) {
  const PostedReceive& receive = matched.receive;
  const std::size_t chunks = chunks_in(receive.bytes, matched.chunk_bytes);
  for (; matched.posted < chunks; ++matched.posted) {
    const std::size_t offset = matched.posted * matched.chunk_bytes;
    const std::size_t number =
        rail_of_chunk(matched.sequence, matched.posted, link_.paths().size());
    OfiRail& rail = *link_.paths()[number].rail;
    const LocalBytes bytes{receive.data + offset,
                           std::min(matched.chunk_bytes, receive.bytes - offset),
                           matched.leases[number].handle()};
    Operation& operation =
        rail.take_operation(OperationKind::kTaggedReceive, *matched.slot, link_.channel());
    const std::uint32_t name =
        chunk_name(*matched.slot, static_cast<std::uint32_t>(matched.posted));
    if (!link_.check(rail.endpoint().receive_tagged(bytes, name, operation))) {
      rail.give_back(operation);
      return false;
    }
  }
  return true;
}

bool Inbound::report(CompletionSink& sink) {
  bool moved = false;
  // The sink may post or abandon from inside each report, so each round looks afresh.
  for (;; moved = true) {
    if (!notices_.empty() && is_due(notices_.front())) {
      const HeldNotice notice = notices_.pop();
      sink.notice(link_.peer(), notice.bytes);
    } else if (mismatch_.has_value() && matched_.empty()) {
      const Envelope theirs = *std::exchange(mismatch_, std::nullopt);
      sink.mismatch(link_.peer(), theirs);
    } else if (!matched_.empty() && matched_.front().done) {
      const Token token = matched_.pop().receive.token;
      ++reported_;
      sink.complete(token, {});
    } else {
      return moved;
    }
  }
}

bool Inbound::has_whole_message() const noexcept {
  if (!matched_.empty()) return matched_.front().done;
  const Arrived* const next = find_arrived(next_);
  return !mismatched_ && next != nullptr && !next->is_long;
}

std::uint64_t Inbound::arrived() const noexcept {
  std::uint64_t count = 0;
  while (count < matched_.size() && matched_[count].done) ++count;
  if (count < matched_.size()) return reported_ + count;
  std::uint64_t next = next_;
  for (const Arrived* at = find_arrived(next); at != nullptr && !at->is_long;
       at = find_arrived(next)) {
    ++next;
  }
  return next;
}

void Inbound::abandon() {
  abandoned_ = true;
  posted_.clear();
  matched_.clear();
  to_answer_.clear();
  window_.clear();
  mismatch_.reset();
}

const Inbound::Arrived* Inbound::find_arrived(std::uint64_t sequence) const noexcept {
  if (window_.empty() || sequence - next_ >= window_.size()) return nullptr;
  const Arrived& found = window_[sequence % window_.size()];
  return found.present ? &found : nullptr;
}

bool Inbound::is_due(const HeldNotice& notice) const noexcept {
  return notice.after <= reported_ || abandoned_ || (ended_ && !has_whole_message());
}

}  // namespace smddp
