#include "engine/keyed_order.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/wire.h"

namespace smddp {
namespace {

constexpr std::size_t kLongestName = 160;
constexpr std::size_t kCountBytes = 4;
// All but the name: id, outline (collective, dtype, op, root, count), length of the name.
constexpr std::size_t kEntryBytes = 8 + (1 + 1 + 1 + 4 + 8) + 4;

std::size_t bytes_of(const OrderEntry& entry) {
  return kEntryBytes + std::min(entry.name.size(), kLongestName);
}

void write(WireWriter& writer, const OrderEntry& entry) {
  const Outline& outline = entry.outline;
  writer.u64(entry.id);
  writer.u8(static_cast<std::uint8_t>(outline.collective));
  writer.u8(static_cast<std::uint8_t>(outline.dtype));
  writer.u8(static_cast<std::uint8_t>(outline.op));
  writer.u32(static_cast<std::uint32_t>(outline.root)).u64(outline.count);
  writer.string(entry.name.substr(0, kLongestName));
}

OrderEntry read_entry(WireReader& reader) {
  OrderEntry entry;
  entry.id = reader.u64();
  entry.outline.collective = static_cast<Collective>(reader.u8());
  entry.outline.dtype = static_cast<DType>(reader.u8());
  entry.outline.op = static_cast<ReduceOp>(reader.u8());
  entry.outline.root = static_cast<Rank>(reader.u32());
  entry.outline.count = reader.u64();
  entry.name = reader.string(kLongestName);
  return entry;
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
    write(entries, entry);
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
      std::min<std::size_t>(reader.u32(), kAnnouncementBytes / kEntryBytes));
  for (OrderEntry& entry : entries) entry = read_entry(reader);
  return entries;
}

}  // namespace smddp
