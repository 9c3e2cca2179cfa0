#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "smddp/status.h"
#include "smddp/types.h"

#include "base/completion.h"
#include "transport/ofi/control.h"
#include "transport/ofi/inbound.h"
#include "transport/ofi/link.h"
#include "transport/ofi/outbound.h"
#include "transport/ofi/rail_agreement.h"
#include "transport/transport.h"

namespace smddp {

/// Everything between this rank and one peer: both directions, and what the connection tells.
class Channel {
 public:
  Channel(Rank self, Rank peer, Transport& control);
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  Rank peer() const noexcept { return link_.peer(); }
  Outbound& outbound() noexcept { return outbound_; }
  Inbound& inbound() noexcept { return inbound_; }

  /// Says who this rank is.
  void introduce(Introduction introduction);
  /// Null until the peer has said who it is.
  const Introduction* peer_introduction() const noexcept {
    return introduction_.has_value() ? &*introduction_ : nullptr;
  }
  /// Over the rails that both have.
  Status open(OfiRails& rails, RoomPerPeer own_room);
  /// Does what is due to find out which of them lead to the peer; true once that is agreed.
  bool agree_on_rails() { return agreement_.step(); }
  std::size_t rails() const noexcept { return link_.paths().size(); }

  // What comes in.
  void on_control(std::span<const std::byte> bytes);
  void on_greeting(std::size_t rail) { agreement_.on_greeting(rail); }
  /// True when the buffer is kept.
  bool on_message(std::uint32_t buffer, const MessageHeader& header,
                  std::span<const std::byte> payload);
  bool is_from_peer(const MessageHeader& header) const noexcept {
    return link_.is_from_peer(header);
  }
  void on_chunk(std::uint64_t sequence);
  void on_sent(Token token, bool ok) { outbound_.on_sent(token, ok); }
  void on_chunk_sent(std::uint32_t number) { outbound_.on_written(number); }
  void on_fabric_error(const OfiRail& rail, const Status& why) {
    if (link_.uses(rail)) link_.fail(why);
  }
  bool is_lost() const noexcept { return lost_.has_value(); }
  /// The connection is lost.
  void on_lost(const Status& why);

  /// Matches what has arrived and tells the sink.
  bool progress_receives(CompletionSink& sink);
  bool progress_sends(CompletionSink& sink);
  /// What the peer waits for; tells nothing. True: it still waits.
  bool serve();
  /// Takes the peer for lost when its fabric address fails and it does not say why. About once a
  /// second.
  void check_road();
  /// The rail must have stopped.
  void abandon();

  bool flushed() const noexcept { return outbound_.empty(); }
  /// Asks the peer, unless it has said so already.
  bool delivered() const noexcept;

 private:
  bool report_loss(CompletionSink& sink);
  void exchange_receipts();

  Transport& control_;
  Link link_;
  RailAgreement agreement_;
  Outbound outbound_;
  Inbound inbound_;
  std::optional<Introduction> introduction_;
  std::optional<std::uint64_t> note_;  ///< the next notice is the user's
  bool peer_abandoned_ = false;
  bool abandoned_ = false;

  std::optional<Status> lost_;
  int quiet_turns_ = 0;  ///< since the loss, in which nothing came
  bool closed_ = false;  ///< the loss is reported

  // Receipts: what the peer asks for, what it has said, what is asked of it.
  std::uint64_t asked_ = 0;
  std::uint64_t receipt_ = 0;
  mutable bool wants_receipt_ = false;  ///< `delivered` asks, `progress_sends` sends the question
  std::uint64_t asked_for_ = 0;
};

}  // namespace smddp
