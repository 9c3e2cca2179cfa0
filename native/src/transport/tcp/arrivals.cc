#include "transport/tcp/arrivals.h"

#include <algorithm>
#include <cstring>

namespace smddp {

void Arrivals::open(std::span<const iovec> pieces, std::size_t lasting) {
  opened_ = taken_;
  pieces_ = pieces;
  lasting_ = lasting;
  absorb();
}

void Arrivals::close() {
  opened_ = taken_;
  pieces_ = {};
  lasting_ = 0;
}

Arrivals::Place Arrivals::place(std::uint64_t offset, std::size_t bytes) {
  if (offset < taken_) return {.bytes = std::min(bytes, taken_ - offset)};
  const auto next = std::find_if(ranges_.begin(), ranges_.end(),
                                 [&](const Range& range) { return range.end > offset; });
  if (next != ranges_.end()) {
    if (next->begin <= offset) return {.bytes = std::min(bytes, next->end - offset)};
    bytes = std::min(bytes, next->begin - offset);
  }
  if (offset == taken_) {
    const std::span<std::byte> spot = next_of_pieces();
    if (!spot.empty()) return {spot.data(), std::min(bytes, spot.size()), true};
  }
  if (const std::size_t ahead = offset - opened_; ahead < lasting_) {
    auto* const first = static_cast<std::byte*>(pieces_.front().iov_base);
    return {first + ahead, std::min(bytes, lasting_ - ahead), true};
  }
  ring_.reserve(taken_, offset + bytes);
  const std::span<std::byte> spot = ring_.at(offset, bytes);
  return {spot.data(), spot.size(), false};
}

void Arrivals::note(std::uint64_t offset, const Place& place) {
  if (place.to == nullptr) return;
  const std::uint64_t end = offset + place.bytes;
  if (offset == taken_ && place.at_reader) {
    taken_ = end;
    return absorb();
  }
  const auto next = std::find_if(ranges_.begin(), ranges_.end(),
                                 [&](const Range& range) { return range.begin > offset; });
  if (next != ranges_.begin()) {
    Range& before = *std::prev(next);
    if (before.end == offset && before.at_reader == place.at_reader) {
      before.end = end;
      return;
    }
  }
  ranges_.insert(next, {offset, end, place.at_reader});
}

/// Where the reader wants the next bytes; empty if it has all that it wants.
std::span<std::byte> Arrivals::next_of_pieces() const {
  std::size_t before = filled();
  for (const iovec& piece : pieces_) {
    if (before < piece.iov_len)
      return {static_cast<std::byte*>(piece.iov_base) + before, piece.iov_len - before};
    before -= piece.iov_len;
  }
  return {};
}

/// Hands on what has come already and is next.
void Arrivals::absorb() {
  while (has_next()) {
    Range& range = ranges_.front();
    const std::span<std::byte> spot = next_of_pieces();
    std::size_t bytes = std::min(spot.size(), range.end - range.begin);
    if (bytes == 0) return;
    // A reader that has given its place up does not look at what it gets in its stead.
    if (!range.at_reader) {
      const auto from = ring_.at(taken_, bytes);
      bytes = from.size();
      std::memcpy(spot.data(), from.data(), bytes);
    }
    taken_ += bytes;
    range.begin += bytes;
    if (range.begin == range.end) ranges_.erase(ranges_.begin());
  }
}

}  // namespace smddp
