#include "transport/ofi/rails.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "transport/ofi/channel.h"

namespace smddp {
namespace {

constexpr std::size_t kEventsAtOnce = 64;
// More would let fast peers keep this rank from sending.
constexpr int kPollsAtOnce = 16;
// Of a peer's: announces and eager messages, the answers to this rank's, and pure credits.
constexpr std::size_t kPureCredits = 4;
// Where nothing but greetings comes. When more arrive at once the provider keeps them.
constexpr std::size_t kMostGreetings = 64;

}  // namespace

RoomPerPeer room_per_peer(std::size_t peers) noexcept {
  if (peers <= 16) return {16, 16384};
  if (peers <= 64) return {8, 8192};
  return {4, 4096};
}

Result<std::unique_ptr<OfiRails>> OfiRails::open(const Library& library,
                                                 std::vector<InfoPtr> offers,
                                                 std::size_t stripe_bytes) {
  std::unique_ptr<OfiRails> rails{new OfiRails{stripe_bytes}};
  for (InfoPtr& offer : offers) {
    Result<std::unique_ptr<OfiRail>> rail = OfiRail::open(library, std::move(offer));
    if (!rail.ok()) return rail.status();
    rails->rails_.push_back(std::move(rail).value());
  }
  return rails;
}

Status OfiRails::prepare(std::size_t peers, RoomPerPeer room) {
  SMDDP_RETURN_IF_ERROR(
      rails_.front()->prepare(peers * (2 * room.messages + kPureCredits), room.bytes));
  for (std::size_t i = 1; i < rails_.size(); ++i) {
    SMDDP_RETURN_IF_ERROR(
        rails_[i]->prepare(std::min(peers, kMostGreetings), sizeof(MessageHeader)));
  }
  return {};
}

void OfiRails::stop() noexcept {
  for (auto& rail : rails_) rail->stop();
}

std::string OfiRails::names() const {
  std::string names;
  for (const auto& rail : rails_) names += (names.empty() ? "" : ", ") + rail->endpoint().name();
  return names;
}

bool OfiRails::poll(std::span<Channel* const> by_rank) {
  std::array<Endpoint::Event, kEventsAtOnce> events;
  bool moved = false;
  for (std::size_t rail = 0; rail < rails_.size(); ++rail) {
    for (int polls = 0; polls < kPollsAtOnce; ++polls) {
      const std::size_t count = rails_[rail]->endpoint().poll(events);
      if (count == 0) break;
      moved = true;
      for (std::size_t i = 0; i < count; ++i) handle(rail, events[i], by_rank);
    }
  }
  return moved;
}

void OfiRails::handle(std::size_t rail_number, const Endpoint::Event& event,
                      std::span<Channel* const> by_rank) {
  if (event.operation == nullptr) {
    if (event.error == 0) take_chunk(slot_of(event.immediate), chunk_of(event.immediate));
    return;
  }
  OfiRail& rail = *rails_[rail_number];
  Operation& operation = *event.operation;
  const std::uint32_t number = operation.number;
  Channel* const channel = operation.channel;
  if (event.error != 0 && channel != nullptr) {
    channel->on_fabric_error(
        rail, {StatusCode::kPeerLost,
               rail.endpoint().name() + ": " + rail.endpoint().error_text(event.error)});
  }
  switch (operation.kind) {
    case OperationKind::kReceive:
      rail.note_received();
      if (event.error != 0 || !take_message(rail_number, event, by_rank))
        rail.give_back_received(number);
      break;
    case OperationKind::kSend:
      rail.give_back_sent(number);
      if (operation.token.has_value()) channel->on_sent(*operation.token, event.error == 0);
      break;
    case OperationKind::kWrite:
      rail.give_back(operation);
      channel->on_chunk_sent(number);
      break;
    case OperationKind::kTaggedReceive:
      rail.give_back(operation);
      if (event.error == 0) take_chunk(number, 0);
      break;
  }
}

bool OfiRails::take_message(std::size_t rail, const Endpoint::Event& event,
                            std::span<Channel* const> by_rank) {
  MessageHeader header;
  if (event.bytes < sizeof(header)) return false;
  const std::uint32_t buffer = event.operation->number;
  const auto message = std::as_const(*rails_[rail]).received(buffer).first(event.bytes);
  std::memcpy(&header, message.data(), sizeof(header));
  if (header.from >= by_rank.size()) return false;
  Channel* const channel = by_rank[header.from];
  // Whoever does not know the token that this rank gave to the peer is a stranger.
  if (channel == nullptr || !channel->is_from_peer(header)) return false;
  if (header.kind == MessageKind::kGreeting) {
    channel->on_greeting(rail);
    return false;
  }
  // Nobody of ours sends anything else there, and buffers are too small.
  if (rail != 0) return false;
  return channel->on_message(buffer, header, message.subspan(sizeof(header)));
}

void OfiRails::take_chunk(std::uint32_t slot, std::uint32_t chunk) {
  const Slots::Slot* const found = slots_.find(slot);
  if (found != nullptr && chunk < found->chunks) found->channel->on_chunk(found->sequence);
}

bool OfiRails::can_wait() const noexcept {
  return std::all_of(rails_.begin(), rails_.end(),
                     [](const auto& rail) { return rail->endpoint().wait_descriptor() >= 0; });
}

bool OfiRails::may_sleep() {
  return std::all_of(rails_.begin(), rails_.end(),
                     [](const auto& rail) { return rail->endpoint().may_sleep(); });
}

}  // namespace smddp
