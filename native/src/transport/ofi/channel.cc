#include "transport/ofi/channel.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>
#include <utility>

namespace smddp {
namespace {

// What a peer sent before its end may be on its way when the connection ends.
constexpr int kQuietTurns = 8;
// A fabric address that fails belongs to a peer that has ended or failed, which the connection says
// sooner than this.
constexpr std::chrono::seconds kPatience{2};

}  // namespace

Channel::Channel(Rank self, Rank peer, Transport& control)
    : control_(control),
      link_(self, peer, *this),
      agreement_(link_, control),
      outbound_(link_, control),
      inbound_(link_) {}

void Channel::introduce(Introduction introduction) {
  introduction.token = link_.token_for_peer();
  control_.post_notice(peer(), introduction.encode());
}

Status Channel::open(OfiRails& rails, RoomPerPeer own_room) {
  const Introduction& theirs = *introduction_;
  const std::string provider = rails.first().provider();
  if (theirs.provider != provider || theirs.rma != rails.first().has_rma()) {
    return {StatusCode::kConfig, "rank " + std::to_string(peer()) + " uses libfabric's provider " +
                                     theirs.provider + " and this rank " + provider +
                                     "; set SMDDP_OFI_PROVIDER to the same on all ranks"};
  }
  Link::FarEnd far_end{.addresses = {}, .token = theirs.token, .room = theirs.room};
  for (std::size_t i = 0; i < std::min(rails.size(), theirs.addresses.size()); ++i) {
    const Result<fi_addr_t> address = rails[i].endpoint().add_peer(theirs.addresses[i]);
    if (!address.ok()) return address.status();
    far_end.addresses.push_back(address.value());
  }
  link_.open(rails, far_end, own_room);
  inbound_.open(own_room.messages);
  return {};
}

void Channel::on_control(std::span<const std::byte> bytes) {
  if (!introduction_.has_value()) {
    introduction_ = Introduction::decode(bytes);
    if (!introduction_.has_value())
      on_lost({StatusCode::kPeerLost,
               "rank " + std::to_string(peer()) + " is gone: it runs another version of smddp"});
    return;
  }
  if (note_.has_value()) return inbound_.hold_notice(*std::exchange(note_, std::nullopt), bytes);
  const auto word = parse_control(bytes);
  if (!word.has_value()) return;
  switch (word->kind) {
    case ControlKind::kNote:
      note_ = word->number;
      break;
    case ControlKind::kAbandoned:
      peer_abandoned_ = true;
      outbound_.discard();
      inbound_.end();
      break;
    case ControlKind::kAsk:
      asked_ = std::max(asked_, word->number);
      break;
    case ControlKind::kReceipt:
      receipt_ = std::max(receipt_, word->number);
      break;
    case ControlKind::kRails:
      agreement_.on_rails(word->number);
      break;
  }
}

bool Channel::on_message(std::uint32_t buffer, const MessageHeader& header,
                         std::span<const std::byte> payload) {
  quiet_turns_ = 0;
  outbound_.on_taken(header.taken);
  if (header.kind == MessageKind::kAnnounce) return inbound_.keep(buffer, header);
  if (header.kind == MessageKind::kEager)
    return header.bytes == payload.size() && inbound_.keep(buffer, header);
  if (header.kind == MessageKind::kReady &&
      payload.size() == ReadyBody::bytes_for(link_.paths().size())) {
    ReadyBody ready;
    std::memcpy(&ready, payload.data(), payload.size());
    outbound_.on_ready(header.sequence, ready);
  }
  return false;
}

void Channel::on_chunk(std::uint64_t sequence) {
  quiet_turns_ = 0;
  if (link_.has_rails()) inbound_.on_chunk(sequence);
}

void Channel::on_lost(const Status& why) {
  if (!lost_.has_value()) lost_ = why;
}

bool Channel::progress_receives(CompletionSink& sink) {
  bool moved = inbound_.pump();
  moved |= inbound_.report(sink);
  if (lost_.has_value() && !closed_) moved |= report_loss(sink);
  return moved;
}

bool Channel::progress_sends(CompletionSink& sink) {
  if (asked_ > 0 || wants_receipt_) exchange_receipts();
  bool moved = outbound_.pump();
  moved |= outbound_.report(sink);
  return moved;
}

bool Channel::serve() {
  inbound_.pump();
  if (asked_ > 0) exchange_receipts();
  outbound_.pump();
  return asked_ > 0 && !lost_.has_value();
}

bool Channel::report_loss(CompletionSink& sink) {
  if (link_.has_rails() && ++quiet_turns_ < kQuietTurns) return true;
  inbound_.end();
  // What has arrived waits for its receive, unless that may depend on a send that cannot succeed.
  if (inbound_.has_whole_message() && !outbound_.has_data()) return false;
  closed_ = true;
  outbound_.close();
  link_.shut();
  sink.peer_closed(peer(), *lost_);
  return true;
}

void Channel::exchange_receipts() {
  if (asked_ > 0 && (abandoned_ || inbound_.arrived() >= asked_)) {
    control_.post_notice(peer(), ControlWord{ControlKind::kReceipt, asked_}.bytes());
    asked_ = 0;
  }
  if (!std::exchange(wants_receipt_, false) || asked_for_ >= outbound_.started()) return;
  asked_for_ = outbound_.started();
  control_.post_notice(peer(), ControlWord{ControlKind::kAsk, asked_for_}.bytes());
}

void Channel::check_road() {
  if (link_.failure().ok() || lost_.has_value() || peer_abandoned_) return;
  if (Deadline::Clock::now() - link_.failed_at() < kPatience) return;
  on_lost({StatusCode::kPeerLost,
           "rank " + std::to_string(peer()) + " is gone: " + link_.failure().message()});
}

void Channel::abandon() {
  abandoned_ = true;
  link_.shut();
  inbound_.abandon();
  outbound_.abandon();
  control_.post_notice(peer(), ControlWord{ControlKind::kAbandoned, 0}.bytes());
}

bool Channel::delivered() const noexcept {
  if (!flushed()) return false;
  if (closed_ || abandoned_ || peer_abandoned_ || lost_.has_value()) return true;
  if (receipt_ >= outbound_.started()) return true;
  wants_receipt_ = true;
  return false;
}

}  // namespace smddp
