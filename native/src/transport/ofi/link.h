#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "smddp/deadline.h"
#include "smddp/status.h"
#include "smddp/types.h"

#include "base/completion.h"
#include "transport/ofi/message.h"
#include "transport/ofi/rails.h"
#include "transport/transport.h"

namespace smddp {

/// One rail to a peer.
struct RailPath {
  OfiRail* rail = nullptr;
  fi_addr_t to = FI_ADDR_UNSPEC;
};

/// The right to some memory on each rail to a peer.
using Leases = std::array<RegistrationCache::Lease, kMostRails>;

/// The fabric road to one peer, over one rail or several: what both directions share.
class Link {
 public:
  Link(Rank self, Rank peer, Channel& channel);

  Rank self() const noexcept { return self_; }
  Rank peer() const noexcept { return peer_; }
  const LinkToken& token_for_peer() const noexcept { return expected_; }
  /// Whether `header` comes from the peer.
  bool is_from_peer(const MessageHeader& header) const noexcept {
    return header.token == expected_;
  }

  /// What the peer has told about itself; its addresses on the rails that both have.
  struct FarEnd {
    std::vector<fi_addr_t> addresses;
    LinkToken token{};
    RoomPerPeer room;
  };
  /// Over the first of the rails (borrowed), until `keep` says which others there are.
  void open(OfiRails& rails, const FarEnd& far_end, RoomPerPeer own_room);
  /// Those that both have; whether they lead there is not known.
  std::size_t shared_rails() const noexcept { return paths_.size(); }
  /// Says something over a shared rail. False when there is no room now, or it does not go there.
  bool greet(std::size_t rail);
  /// These of the shared rails lead to the peer, the first among them.
  void keep(std::uint64_t rails);
  /// Nothing is sent any more: the rails, or the peer, are gone.
  void shut() noexcept { rails_ = nullptr; }
  /// What has arrived can be read.
  bool has_rails() const noexcept { return rails_ != nullptr; }
  bool is_usable() const noexcept { return rails_ != nullptr && failure_.ok(); }
  /// Whether messages to or from the peer go over `rail`.
  bool uses(const OfiRail& rail) const noexcept;

  Channel& channel() noexcept { return channel_; }
  OfiRails& rails() noexcept { return *rails_; }
  /// Those to the peer, in the same order on both sides.
  std::span<const RailPath> paths() const noexcept { return std::span(paths_).first(used_); }
  std::uint32_t own_messages() const noexcept { return own_room_.messages; }
  std::uint32_t their_messages() const noexcept { return their_room_.messages; }
  std::size_t longest_eager() const noexcept { return their_room_.bytes - sizeof(MessageHeader); }

  /// False when there is no room now, or the road has failed.
  bool send(const MessageHeader& header, std::span<const std::byte> payload,
            std::optional<Token> token = std::nullopt);
  /// Has the memory registered with every rail to the peer that needs it. False when that failed.
  bool lease(std::span<const std::byte> memory, MemoryUse use, Leases& leases);
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
  MessageHeader addressed(MessageHeader header) const noexcept;

  Rank self_;
  Rank peer_;
  Channel& channel_;
  LinkToken expected_;
  OfiRails* rails_ = nullptr;
  std::vector<RailPath> paths_;
  std::size_t used_ = 1;
  LinkToken token_{};
  RoomPerPeer their_room_;
  RoomPerPeer own_room_;
  std::uint64_t taken_ = 0;
  std::uint64_t told_ = 0;
  Status failure_;
  Deadline::Clock::time_point failed_at_{};
};

}  // namespace smddp
