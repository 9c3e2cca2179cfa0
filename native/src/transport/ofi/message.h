#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/signature.h"

namespace smddp {

// What travels between two ranks. Two roads lead to a peer: its fabric addresses, one for each
// rail, where messages may overtake each other, and a connection of transport tcp, where nothing
// does.
//
//   fabric      short   sender: eager {header, payload} -----------------------> receiver
//               long    sender: announce {header} -> receiver: ready {place} -> sender:
//                       writes of one chunk each, straight into the receive's buffer, with
//                       (slot, chunk) as immediate; or one tagged message for each chunk
//               and     credit {header}: only says how many messages were taken out of buffers
//               first   greeting {header}: from the lower rank over each rail, and back
//   connection  introduction: provider, fabric addresses, token, sizes of buffers (before all else)
//               rails {set}: which rails the lower rank has found to lead there and back
//               note {after n} and the notice itself: comes after the n first messages
//               abandoned: the fabric address is gone, whatever was sent there is thrown away
//               ask {n} / receipt {n}: have the n first messages arrived? they have
//
// Eager and announce are numbered. The receiver sorts them, and matches the k-th to the k-th
// receive. Each takes one of a bounded number of the receiver's buffers, which every message in the
// other direction gives back (`taken`). A long message is complete when all its chunks are, in
// whatever order; memory is never looked at to see whether something has come. Its chunks go over
// all rails in turn (`rail_of_chunk`), everything else over the first.

/// How many messages of each peer have room at a rank, and how long one may be (header included).
struct RoomPerPeer {
  std::uint32_t messages = 0;
  std::uint32_t bytes = 0;
};

using LinkToken = std::array<std::byte, 16>;

enum class MessageKind : std::uint32_t { kEager = 1, kAnnounce, kReady, kCredit, kGreeting };

/// In front of every fabric message, little endian.
struct MessageHeader {
  LinkToken token{};  ///< what the receiver gave to this sender; anything else is a stranger's
  MessageKind kind = MessageKind::kEager;
  std::uint32_t from = 0;      ///< rank
  std::uint64_t sequence = 0;  ///< of an eager message or announce; kReady: of the one it answers
  std::uint64_t taken = 0;     ///< messages in the other direction that left their buffers
  std::uint64_t tag = 0;
  std::uint64_t bytes = 0;  ///< of payload
  Envelope envelope{};
};
static_assert(sizeof(MessageHeader) == 88 && std::is_trivially_copyable_v<MessageHeader>);

inline constexpr std::size_t kMostRails = 8;

/// Where a payload goes by RMA writes over one rail.
struct WritePlace {
  std::uint64_t address = 0;
  std::uint64_t key = 0;
};

/// Follows the header of kReady, with as many places as there are rails.
struct ReadyBody {
  std::uint64_t chunk_bytes = 0;  ///< the last chunk may be shorter
  std::uint32_t slot = 0;
  std::uint32_t reserved = 0;
  std::array<WritePlace, kMostRails> places{};  ///< with RMA

  static constexpr std::size_t bytes_for(std::size_t rails) {
    return 2 * sizeof(std::uint64_t) + rails * sizeof(WritePlace);
  }
};
static_assert(sizeof(ReadyBody) == ReadyBody::bytes_for(kMostRails) &&
              std::is_trivially_copyable_v<ReadyBody>);
static_assert(std::endian::native == std::endian::little, "headers are sent as they lie in memory");

inline constexpr std::uint32_t kChunkBits = 20;
inline constexpr std::size_t kMostSlots = std::size_t{1} << (32 - kChunkBits);

/// The immediate of a write and the tag of a tagged chunk.
constexpr std::uint32_t chunk_name(std::uint32_t slot, std::uint32_t chunk) {
  return slot << kChunkBits | chunk;
}
/// Which of the rails carries a chunk of the message `sequence`. The chunks of a message go over
/// all in turn, and messages of one chunk do not all take the same.
constexpr std::size_t rail_of_chunk(std::uint64_t sequence, std::size_t chunk, std::size_t rails) {
  return static_cast<std::size_t>((sequence + chunk) % rails);
}
constexpr std::uint32_t slot_of(std::uint32_t name) { return name >> kChunkBits; }
constexpr std::uint32_t chunk_of(std::uint32_t name) {
  return name & ((std::uint32_t{1} << kChunkBits) - 1);
}

}  // namespace smddp
