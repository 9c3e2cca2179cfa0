#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/stand_in.h"

namespace smddp {

/// One collective in the order that the leader tells the others.
struct OrderEntry {
  std::uint64_t id = 0;  ///< of its key
  std::string name;      ///< for people; long ones are cut
  Outline outline;
};

/// 64 bits that stand for a key on the wire (FNV-1a).
std::uint64_t id_of(std::string_view key);

/// Every announcement has this size, so that the others know it beforehand.
inline constexpr std::size_t kAnnouncementBytes = 1024;

/// Moves as many entries as fit, at least one, from `unannounced` to `announced`, and returns the
/// announcement of them.
std::vector<std::byte> announce(std::deque<OrderEntry>& unannounced,
                                std::deque<OrderEntry>& announced);
std::vector<OrderEntry> read_announcement(std::span<const std::byte> bytes);

}  // namespace smddp
