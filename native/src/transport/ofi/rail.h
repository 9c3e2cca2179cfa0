#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "smddp/status.h"

#include "transport/ofi/buffers.h"
#include "transport/ofi/endpoint.h"
#include "transport/ofi/message.h"
#include "transport/ofi/registration.h"

namespace smddp {

/// How many messages of each peer have room here, and how long one may be (header included).
struct RoomPerPeer {
  std::uint32_t messages = 0;
  std::uint32_t bytes = 0;
};

/// Below 64 KiB for each peer when there are many.
RoomPerPeer room_per_peer(std::size_t peers) noexcept;

/// The size of the pieces in which `bytes` travel; the last may be shorter.
std::size_t chunk_bytes_of(std::size_t bytes, std::size_t longest_message) noexcept;
std::size_t chunks_in(std::size_t bytes, std::size_t chunk_bytes) noexcept;

/// An endpoint with what its messages lie in: buffers, registrations, operations, and the table of
/// long messages that are being received.
class OfiRail {
 public:
  /// A long message under way to this rank.
  struct Slot {
    Channel* channel = nullptr;  ///< null: free
    std::uint64_t sequence = 0;
    std::size_t chunks = 0;
  };

  ~OfiRail() { stop(); }
  OfiRail(const OfiRail&) = delete;
  OfiRail& operator=(const OfiRail&) = delete;

  static Result<std::unique_ptr<OfiRail>> open(const Library& library, InfoPtr info);
  /// Makes room for the messages of `peers`, and lets them come.
  Status prepare(std::size_t peers, RoomPerPeer room);

  /// The card touches nothing any more. Leases may be given back afterwards, nothing else.
  void stop() noexcept { endpoint_->stop(); }

  Endpoint& endpoint() noexcept { return *endpoint_; }
  RegistrationCache& registrations() noexcept { return registrations_; }

  /// Sends a copy of header and payload. kAgain when there is no room now.
  Status send(const MessageHeader& header, std::span<const std::byte> payload, fi_addr_t to,
              Channel& channel, std::optional<Token> token = std::nullopt);
  void give_back_sent(std::uint32_t buffer) noexcept { sends_.give_back(buffer); }

  std::span<const std::byte> received(std::uint32_t buffer) const noexcept {
    return receives_.bytes(buffer);
  }
  /// A buffer has been filled; to be called once for each, also when that failed.
  void note_received();
  /// The buffer may be filled again.
  void give_back_received(std::uint32_t buffer);

  /// For one chunk.
  Operation& take_operation(OperationKind kind, std::uint32_t number, Channel& channel);
  void give_back(Operation& operation) { idle_operations_.push_back(&operation); }

  /// Nothing when as much as the completion queue may hold is under way already.
  std::optional<std::uint32_t> open_slot(Channel& channel, std::uint64_t sequence,
                                         std::size_t chunks);
  void close_slot(std::uint32_t slot);
  /// Null when no message is under way there.
  const Slot* slot(std::uint32_t number) const noexcept;

 private:
  explicit OfiRail(std::unique_ptr<Endpoint> endpoint);
  void post_spare();

  std::unique_ptr<Endpoint> endpoint_;
  RegistrationCache registrations_;
  Buffers sends_;
  Buffers receives_;
  std::size_t receives_posted_ = 0;
  std::size_t most_posted_ = 0;
  std::deque<Operation> operations_;
  std::vector<Operation*> idle_operations_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_slots_;
  std::size_t chunks_under_way_ = 0;
};

}  // namespace smddp
