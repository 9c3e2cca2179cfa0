#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "smddp/status.h"

#include "transport/ofi/chunks.h"
#include "transport/ofi/endpoint.h"
#include "transport/ofi/library.h"
#include "transport/ofi/message.h"
#include "transport/ofi/rail.h"

namespace smddp {

/// Below 64 KiB for each peer when there are many.
RoomPerPeer room_per_peer(std::size_t peers) noexcept;

/// The rails of this rank, all of one provider, and what arrives over them.
class OfiRails {
 public:
  /// One rail for each of `offers`, which are of one provider; with several, a chunk is not made
  /// shorter than `stripe_bytes`.
  static Result<std::unique_ptr<OfiRails>> open(const Library& library, std::vector<InfoPtr> offers,
                                                std::size_t stripe_bytes);
  /// Makes room for the messages of `peers` on the first rail, for their greetings on all.
  Status prepare(std::size_t peers, RoomPerPeer room);
  /// No card touches anything any more. Leases may be given back afterwards, nothing else.
  void stop() noexcept;

  std::size_t size() const noexcept { return rails_.size(); }
  OfiRail& operator[](std::size_t number) noexcept { return *rails_[number]; }
  /// Stands for all in what depends on the provider only.
  Endpoint& first() noexcept { return rails_.front()->endpoint(); }
  Slots& slots() noexcept { return slots_; }
  /// How a message to this rank over the first so many of its rails, or any others, is cut.
  ChunkRule rule(std::size_t rails) noexcept {
    return {rails, stripe_bytes_, first().longest_message()};
  }
  /// "eth0, eth1"
  std::string names() const;

  /// Drives the provider and tells the channels, by rank, what has happened; true when anything
  /// has.
  bool poll(std::span<Channel* const> by_rank);
  /// Whether each rail has a descriptor that tells when `poll` may have something.
  bool can_wait() const noexcept;
  /// With descriptors: whether they will tell. Without: true.
  bool may_sleep();

 private:
  explicit OfiRails(std::size_t stripe_bytes) : stripe_bytes_(stripe_bytes) {}
  void handle(std::size_t rail, const Endpoint::Event& event, std::span<Channel* const> by_rank);
  bool take_message(std::size_t rail, const Endpoint::Event& event,
                    std::span<Channel* const> by_rank);
  void take_chunk(std::uint32_t slot, std::uint32_t chunk);

  std::vector<std::unique_ptr<OfiRail>> rails_;
  Slots slots_;
  std::size_t stripe_bytes_;
};

}  // namespace smddp
