#include "transport/ofi/control.h"

#include <algorithm>
#include <cstring>

namespace smddp {
namespace {

/// The fixed part of an introduction; the provider's name and the address follow.
struct Fixed {
  std::uint32_t version = 0;
  std::uint32_t rma = 0;
  RoomPerPeer room;
  LinkToken token{};
  std::uint32_t provider_bytes = 0;
  std::uint32_t address_bytes = 0;
};
static_assert(sizeof(Fixed) == 40 && std::is_trivially_copyable_v<Fixed>);

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

std::optional<ControlWord> parse_control(std::span<const std::byte> bytes) {
  ControlWord word;
  if (bytes.size() != sizeof(word)) return std::nullopt;
  std::memcpy(&word, bytes.data(), sizeof(word));
  if (word.kind < ControlKind::kNote || word.kind > ControlKind::kReceipt) return std::nullopt;
  return word;
}

std::vector<std::byte> Introduction::encode() const {
  Fixed fixed;
  fixed.version = version;
  fixed.rma = rma ? 1 : 0;
  fixed.room = room;
  fixed.token = token;
  fixed.provider_bytes = static_cast<std::uint32_t>(provider.size());
  fixed.address_bytes = static_cast<std::uint32_t>(address.size());
  std::vector<std::byte> bytes(sizeof(fixed) + provider.size() + address.size());
  std::memcpy(bytes.data(), &fixed, sizeof(fixed));
  std::byte* const texts = bytes.data() + sizeof(fixed);
  std::copy_n(std::as_bytes(std::span{provider}).begin(), provider.size(), texts);
  std::copy_n(std::as_bytes(std::span{address}).begin(), address.size(), texts + provider.size());
  return bytes;
}

std::optional<Introduction> Introduction::decode(std::span<const std::byte> bytes) {
  Fixed fixed;
  if (bytes.size() < sizeof(fixed)) return std::nullopt;
  std::memcpy(&fixed, bytes.data(), sizeof(fixed));
  const std::span<const std::byte> texts = bytes.subspan(sizeof(fixed));
  if (fixed.version != kVersion || fixed.room.messages == 0 ||
      fixed.room.bytes < sizeof(MessageHeader) + sizeof(ReadyBody) ||
      std::size_t{fixed.provider_bytes} + fixed.address_bytes != texts.size()) {
    return std::nullopt;
  }
  Introduction introduction;
  introduction.rma = fixed.rma != 0;
  introduction.room = fixed.room;
  introduction.token = fixed.token;
  introduction.provider = text_of(texts.first(fixed.provider_bytes));
  introduction.address = text_of(texts.subspan(fixed.provider_bytes));
  return introduction;
}

}  // namespace smddp
