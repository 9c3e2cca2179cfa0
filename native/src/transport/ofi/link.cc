#include "transport/ofi/link.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/auth.h"

namespace smddp {

Link::Link(Rank self, Rank peer, Channel& channel) : self_(self), peer_(peer), channel_(channel) {
  const std::string random = random_bytes(expected_.size());
  std::memcpy(expected_.data(), random.data(), expected_.size());
}

void Link::open(OfiRails& rails, const FarEnd& far_end, RoomPerPeer own_room) {
  rails_ = &rails;
  for (std::size_t i = 0; i < far_end.addresses.size(); ++i)
    paths_.push_back({&rails[i], far_end.addresses[i]});
  token_ = far_end.token;
  their_room_ = far_end.room;
  own_room_ = own_room;
}

bool Link::greet(std::size_t rail) {
  if (!is_usable()) return false;
  const auto& [card, to] = paths_[rail];
  const Status sent = card->send(addressed({.kind = MessageKind::kGreeting}), {}, to, channel_);
  return rail == 0 ? check(sent) : sent.ok();
}

void Link::keep(std::uint64_t rails) {
  std::vector<RailPath> kept;
  for (std::size_t i = 0; i < paths_.size(); ++i) {
    if ((rails >> i & 1) != 0) kept.push_back(paths_[i]);
  }
  paths_ = std::move(kept);
  used_ = paths_.size();
}

bool Link::uses(const OfiRail& rail) const noexcept {
  const auto of_path = [&](const RailPath& path) { return path.rail == &rail; };
  return std::any_of(paths().begin(), paths().end(), of_path);
}

MessageHeader Link::addressed(MessageHeader header) const noexcept {
  header.token = token_;
  header.from = static_cast<std::uint32_t>(self_);
  header.taken = taken_;
  return header;
}

bool Link::send(const MessageHeader& header, std::span<const std::byte> payload,
                std::optional<Token> token) {
  if (!is_usable()) return false;
  const auto& [rail, to] = paths_.front();
  if (!check(rail->send(addressed(header), payload, to, channel_, token))) return false;
  told_ = taken_;
  return true;
}

bool Link::lease(std::span<const std::byte> memory, MemoryUse use, Leases& leases) {
  const Endpoint& endpoint = rails_->first();
  const bool is_written = use == MemoryUse::kTarget && endpoint.has_rma();
  if (!is_written && !endpoint.registers_local()) return true;
  for (std::size_t i = 0; i < used_; ++i) {
    if (leases[i].valid()) continue;
    auto lease = paths_[i].rail->registrations().acquire(memory, use);
    if (!check(lease.status())) return false;
    leases[i] = std::move(lease).value();
  }
  return true;
}

bool Link::give_credit() {
  if (2 * (taken_ - told_) < own_room_.messages) return false;
  return send({.kind = MessageKind::kCredit}, {});
}

void Link::fail(const Status& why) {
  if (!failure_.ok()) return;
  failure_ = why;
  failed_at_ = Deadline::Clock::now();
}

bool Link::check(const Status& posted) {
  if (!posted.ok() && !posted.is_again()) fail(posted);
  return posted.ok();
}

}  // namespace smddp
