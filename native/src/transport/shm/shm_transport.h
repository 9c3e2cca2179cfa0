#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/wakeup.h"
#include "transport/shm/ring_stream.h"
#include "transport/stream/inbox.h"
#include "transport/stream/outbox.h"
#include "transport/transport.h"

namespace smddp {

/// Messages between the ranks of one host, through a ring for each ordered pair in their shared
/// segment. A send completes when the ring has taken its bytes. Rings are sparse: a pair that
/// exchanges nothing takes no memory. The death of a peer is not seen here; its process descriptor
/// tells it.
class ShmTransport final : public Transport {
 public:
  /// Bytes of one ring: large enough for both sides to work at the same time, and not more than
  /// what makes all pairs of a large host reasonable.
  static std::size_t ring_capacity(int ranks);
  static std::size_t bytes_needed(int ranks);

  struct Members {
    std::vector<Rank> ranks;   ///< of this host, by local rank
    std::vector<Rank> labels;  ///< what messages call the group's ranks; empty: their numbers
    int self = 0;              ///< local rank
  };
  /// `memory` is zeroed, aligned to 64 bytes, `bytes_needed` long, and the same for all members; it
  /// and the bell outlive the transport.
  ShmTransport(std::span<std::byte> memory, const Members& members, PeerBell& bell);

  std::string_view name() const noexcept override { return "shm"; }
  Result<std::string> listen() override { return std::string{}; }
  Status connect(std::span<const PeerAddress>, const std::string&, const std::string&,
                 Deadline) override {
    return {};
  }
  // Peers wake this rank through its bell; there is no descriptor.
  Status watch(Poller&) override { return {}; }
  void unwatch(Poller&) noexcept override {}
  void arm(Poller&) noexcept override {}

  Status post_send(Rank peer, const SendDesc& send, Token token) override;
  Status post_recv(Rank peer, const RecvDesc& recv, Token token) override;
  void post_notice(Rank peer, std::span<const std::byte> bytes) override;
  bool progress(CompletionSink& sink) override;
  void abandon() override;
  bool flushed() const noexcept override;
  bool flushed_to(Rank peer) const noexcept override;

 private:
  struct Link {
    Link(Rank rank, const RingStream& both) : peer(rank), stream(both), inbox(rank) {}

    bool progress(CompletionSink& sink);

    Rank peer;
    RingStream stream;
    Outbox outbox;
    Inbox inbox;
  };

  Link* find(Rank peer) const noexcept;
  Result<Link*> usable(Rank peer) const;

  std::vector<Rank> labels_;
  std::vector<std::unique_ptr<Link>> links_;
  bool abandoned_ = false;
};

}  // namespace smddp
