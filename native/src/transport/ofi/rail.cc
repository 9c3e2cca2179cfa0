#include "transport/ofi/rail.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "memory/registered_heap.h"
#include "transport/ofi/chunks.h"

namespace smddp {
namespace {

constexpr std::size_t kSendBuffers = 64;
constexpr std::size_t kTaggedReceives = 256;

std::span<const std::byte> heap_memory() {
  const Result<RegisteredHeap*> heap = RegisteredHeap::of_process();
  return heap.ok() ? std::span<const std::byte>{heap.value()->bytes()}
                   : std::span<const std::byte>{};
}

}  // namespace

OfiRail::OfiRail(std::unique_ptr<Endpoint> endpoint)
    : endpoint_(std::move(endpoint)), registrations_(*endpoint_, heap_memory()) {}

Result<std::unique_ptr<OfiRail>> OfiRail::open(const Library& library, InfoPtr info) {
  Result<std::unique_ptr<Endpoint>> endpoint =
      Endpoint::open(library, std::move(info), Slots::kMostChunks);
  if (!endpoint.ok()) return endpoint.status();
  return std::unique_ptr<OfiRail>{new OfiRail{std::move(endpoint).value()}};
}

Status OfiRail::prepare(std::size_t messages, std::size_t bytes_each) {
  if (messages == 0) return {};
  Result<Buffers> sends = Buffers::create(*endpoint_, MemoryUse::kSource, kSendBuffers, bytes_each);
  if (!sends.ok()) return sends.status();
  sends_ = std::move(sends).value();
  Result<Buffers> receives = Buffers::create(*endpoint_, MemoryUse::kTarget, messages, bytes_each);
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

}  // namespace smddp
