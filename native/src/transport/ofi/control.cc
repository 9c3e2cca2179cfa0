#include "transport/ofi/control.h"

#include <cstring>

namespace smddp {
namespace {

/// The fixed part of an introduction; the provider's name and the addresses follow.
struct Fixed {
  std::uint32_t version = 0;
  std::uint32_t rma = 0;
  RoomPerPeer room;
  LinkToken token{};
  std::uint32_t provider_bytes = 0;
  std::uint32_t addresses = 0;
  std::uint32_t address_bytes = 0;  ///< of each
  std::uint32_t reserved = 0;
};
static_assert(sizeof(Fixed) == 48 && std::is_trivially_copyable_v<Fixed>);

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

std::optional<ControlWord> parse_control(std::span<const std::byte> bytes) {
  ControlWord word;
  if (bytes.size() != sizeof(word)) return std::nullopt;
  std::memcpy(&word, bytes.data(), sizeof(word));
  if (word.kind < ControlKind::kNote || word.kind > ControlKind::kRails) return std::nullopt;
  return word;
}

std::vector<std::byte> Introduction::encode() const {
  Fixed fixed;
  fixed.version = version;
  fixed.rma = rma ? 1 : 0;
  fixed.room = room;
  fixed.token = token;
  fixed.provider_bytes = static_cast<std::uint32_t>(provider.size());
  // One provider's addresses are of one length.
  fixed.addresses = static_cast<std::uint32_t>(addresses.size());
  fixed.address_bytes = static_cast<std::uint32_t>(addresses.front().size());
  std::string texts = provider;
  for (const std::string& address : addresses) texts += address;
  std::vector<std::byte> bytes(sizeof(fixed) + texts.size());
  std::memcpy(bytes.data(), &fixed, sizeof(fixed));
  std::memcpy(bytes.data() + sizeof(fixed), texts.data(), texts.size());
  return bytes;
}

std::optional<Introduction> Introduction::decode(std::span<const std::byte> bytes) {
  Fixed fixed;
  if (bytes.size() < sizeof(fixed)) return std::nullopt;
  std::memcpy(&fixed, bytes.data(), sizeof(fixed));
  std::span<const std::byte> texts = bytes.subspan(sizeof(fixed));
  if (fixed.version != kVersion || fixed.room.messages == 0 ||
      fixed.room.bytes < sizeof(MessageHeader) + sizeof(ReadyBody) || fixed.addresses == 0 ||
      fixed.addresses > kMostRails ||
      fixed.provider_bytes + fixed.addresses * std::size_t{fixed.address_bytes} != texts.size()) {
    return std::nullopt;
  }
  Introduction introduction;
  introduction.rma = fixed.rma != 0;
  introduction.room = fixed.room;
  introduction.token = fixed.token;
  introduction.provider = text_of(texts.first(fixed.provider_bytes));
  texts = texts.subspan(fixed.provider_bytes);
  for (; !texts.empty(); texts = texts.subspan(fixed.address_bytes))
    introduction.addresses.push_back(text_of(texts.first(fixed.address_bytes)));
  return introduction;
}

}  // namespace smddp
