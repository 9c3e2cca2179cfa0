#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "smddp/deadline.h"
#include "smddp/status.h"
#include "smddp/types.h"

#include "base/completion.h"
#include "transport/ofi/message.h"
#include "transport/ofi/rail.h"
#include "transport/transport.h"

namespace smddp {

/// The fabric road to one peer: what both directions share.
class Link {
 public:
  Link(Rank self, Rank peer, Channel& channel);

  Rank peer() const noexcept { return peer_; }
  const LinkToken& token_for_peer() const noexcept { return expected_; }
  /// Whether `header` comes from the peer.
  bool is_from_peer(const MessageHeader& header) const noexcept {
    return header.token == expected_;
  }

  /// What the peer has told about itself, and the rail that leads there (borrowed).
  struct FarEnd {
    fi_addr_t address = FI_ADDR_UNSPEC;
    LinkToken token{};
    RoomPerPeer room;
  };
  void open(OfiRail& rail, const FarEnd& far_end, RoomPerPeer own_room);
  /// Nothing is sent any more: the rail, or the peer, is gone.
  void shut() noexcept { rail_ = nullptr; }
  /// What has arrived can be read.
  bool has_rail() const noexcept { return rail_ != nullptr; }
  bool is_usable() const noexcept { return rail_ != nullptr && failure_.ok(); }

  Channel& channel() noexcept { return channel_; }
  OfiRail& rail() noexcept { return *rail_; }
  fi_addr_t address() const noexcept { return far_end_.address; }
  std::uint32_t own_messages() const noexcept { return own_room_.messages; }
  std::uint32_t their_messages() const noexcept { return far_end_.room.messages; }
  std::size_t longest_eager() const noexcept { return far_end_.room.bytes - sizeof(MessageHeader); }

  /// False when there is no room now, or the road has failed.
  bool send(MessageHeader header, std::span<const std::byte> payload,
            std::optional<Token> token = std::nullopt);
  /// Notes that a message of the peer has left its buffer; the peer hears of it with the next
  /// message, or by `give_credit` when many have come together.
  void note_taken() noexcept { ++taken_; }
  bool give_credit();

  void fail(const Status& why);
  const Status& failure() const noexcept { return failure_; }
  Deadline::Clock::time_point failed_at() const noexcept { return failed_at_; }
  /// Notes a failure unless there is only no room now; true when posted.
  bool check(const Status& posted);

 private:
  Rank self_;
  Rank peer_;
  Channel& channel_;
  LinkToken expected_;
  OfiRail* rail_ = nullptr;
  FarEnd far_end_;
  RoomPerPeer own_room_;
  std::uint64_t taken_ = 0;
  std::uint64_t told_ = 0;
  Status failure_;
  Deadline::Clock::time_point failed_at_{};
};

}  // namespace smddp
