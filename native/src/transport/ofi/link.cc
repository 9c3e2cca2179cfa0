#include "transport/ofi/link.h"

#include <cstring>

#include "base/auth.h"

namespace smddp {

Link::Link(Rank self, Rank peer, Channel& channel) : self_(self), peer_(peer), channel_(channel) {
  const std::string random = random_bytes(expected_.size());
  std::memcpy(expected_.data(), random.data(), expected_.size());
}

void Link::open(OfiRail& rail, const FarEnd& far_end, RoomPerPeer own_room) {
  rail_ = &rail;
  far_end_ = far_end;
  own_room_ = own_room;
}

bool Link::send(MessageHeader header, std::span<const std::byte> payload,
                std::optional<Token> token) {
  if (!is_usable()) return false;
  header.token = far_end_.token;
  header.from = static_cast<std::uint32_t>(self_);
  header.taken = taken_;
  if (!check(rail_->send(header, payload, far_end_.address, channel_, token))) return false;
  told_ = taken_;
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
