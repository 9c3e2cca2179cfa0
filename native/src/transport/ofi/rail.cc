#include "transport/ofi/rail.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "memory/registered_heap.h"

namespace smddp {
namespace {

// Writes of peers whose reports the completion queue has room for.
constexpr std::size_t kRemoteWrites = 4096;
// Of EFA's road to its full speed, and few enough of them that one message leaves room for others.
constexpr std::size_t kChunkBytes = std::size_t{512} << 10;
constexpr std::size_t kMostChunks = 256;
constexpr std::size_t kPage = 4096;

constexpr std::size_t kSendBuffers = 64;
// Of a peer's: announces and eager messages, the answers to this rank's, and pure credits.
constexpr std::size_t kPureCredits = 4;
constexpr std::size_t kTaggedReceives = 256;

std::span<const std::byte> heap_memory() {
  const Result<RegisteredHeap*> heap = RegisteredHeap::of_process();
  return heap.ok() ? std::span<const std::byte>{heap.value()->bytes()}
                   : std::span<const std::byte>{};
}

}  // namespace

RoomPerPeer room_per_peer(std::size_t peers) noexcept {
  if (peers <= 16) return {16, 16384};
  if (peers <= 64) return {8, 8192};
  return {4, 4096};
}

std::size_t chunk_bytes_of(std::size_t bytes, std::size_t longest_message) noexcept {
  const std::size_t even = (bytes + kMostChunks - 1) / kMostChunks;
  const std::size_t whole_pages = (even + kPage - 1) / kPage * kPage;
  return std::min(std::max(kChunkBytes, whole_pages), longest_message);
}

std::size_t chunks_in(std::size_t bytes, std::size_t chunk_bytes) noexcept {
  return (bytes + chunk_bytes - 1) / chunk_bytes;
}

OfiRail::OfiRail(std::unique_ptr<Endpoint> endpoint)
    : endpoint_(std::move(endpoint)), registrations_(*endpoint_, heap_memory()) {}

Result<std::unique_ptr<OfiRail>> OfiRail::open(const Library& library, InfoPtr info) {
  Result<std::unique_ptr<Endpoint>> endpoint =
      Endpoint::open(library, std::move(info), kRemoteWrites);
  if (!endpoint.ok()) return endpoint.status();
  return std::unique_ptr<OfiRail>{new OfiRail{std::move(endpoint).value()}};
}

Status OfiRail::prepare(std::size_t peers, RoomPerPeer room) {
  if (peers == 0) return {};
  Result<Buffers> sends = Buffers::create(*endpoint_, MemoryUse::kSource, kSendBuffers, room.bytes);
  if (!sends.ok()) return sends.status();
  sends_ = std::move(sends).value();
  Result<Buffers> receives = Buffers::create(
      *endpoint_, MemoryUse::kTarget, peers * (2 * room.messages + kPureCredits), room.bytes);
  if (!receives.ok()) return receives.status();
  receives_ = std::move(receives).value();
  const std::size_t most = endpoint_->most_receives();
  most_posted_ = endpoint_->has_rma() ? most : most - std::min(most / 2, kTaggedReceives);
  post_spare();
  if (receives_posted_ == 0)
    return {StatusCode::kSystem, endpoint_->provider() + " takes no receive"};
  return {};
}

Status OfiRail::send(const MessageHeader& header, std::span<const std::byte> payload, fi_addr_t to,
                     Channel& channel, std::optional<Token> token) {
  const auto buffer = sends_.take();
  if (!buffer.has_value()) return Status::again();
  const LocalBytes message = sends_.local(*buffer, sizeof(header) + payload.size());
  std::memcpy(message.data, &header, sizeof(header));
  if (!payload.empty()) std::memcpy(message.data + sizeof(header), payload.data(), payload.size());
  Operation& operation = sends_.operation(*buffer);
  operation.channel = &channel;
  operation.token = token;
  Status sent = endpoint_->send(message, to, operation);
  if (!sent.ok()) sends_.give_back(*buffer);
  return sent;
}

void OfiRail::note_received() {
  --receives_posted_;
  post_spare();
}

void OfiRail::give_back_received(std::uint32_t buffer) {
  receives_.give_back(buffer);
  post_spare();
}

void OfiRail::post_spare() {
  while (receives_posted_ < most_posted_) {
    const auto buffer = receives_.take();
    if (!buffer.has_value()) return;
    const LocalBytes whole = receives_.local(*buffer, receives_.bytes_each());
    if (!endpoint_->receive(whole, receives_.operation(*buffer)).ok())
      return receives_.give_back(*buffer);
    ++receives_posted_;
  }
}

Operation& OfiRail::take_operation(OperationKind kind, std::uint32_t number, Channel& channel) {
  if (idle_operations_.empty()) idle_operations_.push_back(&operations_.emplace_back());
  Operation& operation = *idle_operations_.back();
  idle_operations_.pop_back();
  operation.kind = kind;
  operation.number = number;
  operation.channel = &channel;
  return operation;
}

std::optional<std::uint32_t> OfiRail::open_slot(Channel& channel, std::uint64_t sequence,
                                                std::size_t chunks) {
  // One message that is larger than the bound has to pass some time.
  if (chunks_under_way_ > 0 && chunks_under_way_ + chunks > kRemoteWrites) return std::nullopt;
  if (free_slots_.empty()) {
    if (slots_.size() == kMostSlots) return std::nullopt;
    free_slots_.push_back(static_cast<std::uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const std::uint32_t number = free_slots_.back();
  free_slots_.pop_back();
  slots_[number] = {&channel, sequence, chunks};
  chunks_under_way_ += chunks;
  return number;
}

void OfiRail::close_slot(std::uint32_t slot) {
  chunks_under_way_ -= slots_[slot].chunks;
  slots_[slot] = {};
  free_slots_.push_back(slot);
}

const OfiRail::Slot* OfiRail::slot(std::uint32_t number) const noexcept {
  if (number >= slots_.size() || slots_[number].channel == nullptr) return nullptr;
  return &slots_[number];
}

}  // namespace smddp
