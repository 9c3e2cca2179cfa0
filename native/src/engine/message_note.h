#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "smddp/types.h"

#include "transport/transport.h"

namespace smddp {

/// What two mailboxes tell each other, as notices of a transport.
struct MessageNote {
  enum class Kind : std::uint8_t {
    kWhole,    ///< a short message: its bytes follow
    kOffer,    ///< a long message that waits for a receive
    kAccept,   ///< the receive is there: send the bytes of offer `id`
    kGoodbye,  ///< the sender will offer nothing more: an encoded Notice of its leaving follows
    kFault     ///< the group has failed: an encoded Notice follows
  };
  Kind kind = Kind::kGoodbye;
  DType dtype = DType::kUint8;
  std::array<std::uint8_t, 6> reserved{};
  std::uint64_t tag = 0;
  std::uint64_t count = 0;  ///< elements
  std::uint64_t id = 0;     ///< of the offer, chosen by the one who made it
};
static_assert(sizeof(MessageNote) == 32);

/// Bytes of a message that still fit into its note.
inline constexpr std::size_t kShortMessage = Transport::kMaxNoticeBytes - sizeof(MessageNote);

/// Nothing when the bytes are no note.
inline std::optional<MessageNote> to_note(std::span<const std::byte> bytes) {
  MessageNote note;
  if (bytes.size() < sizeof(note)) return std::nullopt;
  std::memcpy(&note, bytes.data(), sizeof(note));
  if (note.kind > MessageNote::Kind::kFault) return std::nullopt;
  if (note.kind >= MessageNote::Kind::kGoodbye) return note;
  const bool whole = note.kind == MessageNote::Kind::kWhole;
  const std::size_t payload = whole ? note.count * size_of(note.dtype) : 0;
  if (bytes.size() != sizeof(note) + payload) return std::nullopt;
  return note;
}

}  // namespace smddp
