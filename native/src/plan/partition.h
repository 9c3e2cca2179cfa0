#pragma once

#include <cstddef>
#include <vector>

#include "plan/plan.h"

namespace smddp {

/// Share `index` of `count` elements cut into `shares` contiguous pieces. Sizes differ by at most
/// one, the larger ones come first; with fewer elements than shares the last ones are empty.
inline Part share_of(std::size_t count, int shares, int index) {
  const auto n = static_cast<std::size_t>(shares);
  const auto i = static_cast<std::size_t>(index);
  const std::size_t base = count / n;
  const std::size_t larger = count % n;
  return {i * base + (i < larger ? i : larger), base + (i < larger ? 1 : 0)};
}

/// Blocks of the given sizes laid one after the other.
inline std::vector<Part> blocks_of(const std::vector<std::size_t>& counts) {
  std::vector<Part> blocks;
  blocks.reserve(counts.size());
  std::size_t offset = 0;
  for (const std::size_t count : counts) {
    blocks.push_back({offset, count});
    offset += count;
  }
  return blocks;
}

/// Elements of all `blocks` together (as laid out by blocks_of).
inline std::size_t total_of(const std::vector<Part>& blocks) {
  return blocks.empty() ? 0 : blocks.back().offset + blocks.back().count;
}

/// The piece `part` of `range`.
inline Range slice(const Range& range, const Part& part) {
  return {range.space, range.offset + part.offset, part.count};
}

/// `part` of a whole buffer.
inline Range range_of(Space space, const Part& part) { return {space, part.offset, part.count}; }

}  // namespace smddp
