#include "engine/keyed_order.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "bootstrap/wire.h"

namespace smddp {
namespace {

constexpr std::size_t kLongestName = 160;
constexpr std::size_t kCountBytes = 4;

std::size_t bytes_of(const OrderEntry& entry) {
  return sizeof(std::uint64_t) + sizeof(std::uint32_t) + std::min(entry.name.size(), kLongestName);
}

}  // namespace

std::uint64_t id_of(std::string_view key) {
  std::uint64_t id = 14695981039346656037ULL;
  for (const char byte : key) id = (id ^ static_cast<unsigned char>(byte)) * 1099511628211ULL;
  return id;
}

std::vector<std::byte> announce(std::deque<OrderEntry>& unannounced,
                                std::deque<OrderEntry>& announced) {
  WireWriter entries;
  std::uint32_t count = 0;
  std::size_t room = kAnnouncementBytes - kCountBytes;
  while (!unannounced.empty() && bytes_of(unannounced.front()) <= room) {
    OrderEntry entry = std::move(unannounced.front());
    unannounced.pop_front();
    room -= bytes_of(entry);
    entries.u64(entry.id).string(entry.name.substr(0, kLongestName));
    announced.push_back(std::move(entry));
    ++count;
  }
  const std::string text = WireWriter().u32(count).take() + entries.take();
  std::vector<std::byte> bytes(kAnnouncementBytes);
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

std::vector<OrderEntry> read_announcement(std::span<const std::byte> bytes) {
  WireReader reader{{reinterpret_cast<const char*>(bytes.data()), bytes.size()}};
  std::vector<OrderEntry> entries(
      std::min<std::size_t>(reader.u32(), kAnnouncementBytes / sizeof(std::uint64_t)));
  for (OrderEntry& entry : entries) {
    entry.id = reader.u64();
    entry.name = reader.string(kLongestName);
  }
  return entries;
}

}  // namespace smddp
