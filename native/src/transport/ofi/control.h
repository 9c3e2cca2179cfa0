#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "transport/ofi/message.h"

namespace smddp {

// What ranks tell each other over the connection, as notices of transport tcp.

enum class ControlKind : std::uint64_t {
  kNote = 1,   ///< the next notice is the user's; it comes after the `number` first messages
  kAbandoned,  ///< the sender's fabric address is gone
  kAsk,        ///< have the `number` first messages arrived?
  kReceipt,    ///< at least `number` of them have
  kRails,      ///< rail i leads there and back where bit i of `number` is set
};

struct ControlWord {
  ControlKind kind = ControlKind::kNote;
  std::uint64_t number = 0;

  std::span<const std::byte> bytes() const noexcept { return std::as_bytes(std::span{this, 1}); }
};
static_assert(sizeof(ControlWord) == 16);

/// Nothing when it is no control word.
std::optional<ControlWord> parse_control(std::span<const std::byte> bytes);

/// The first thing that each side says.
struct Introduction {
  static constexpr std::uint32_t kVersion = 2;

  std::uint32_t version = kVersion;
  bool rma = true;
  RoomPerPeer room;   ///< for the messages of the one who is told
  LinkToken token{};  ///< to be put into these messages
  std::string provider;
  std::vector<std::string> addresses;  ///< of the fabric, by rail

  std::vector<std::byte> encode() const;
  static std::optional<Introduction> decode(std::span<const std::byte> bytes);
};

}  // namespace smddp
