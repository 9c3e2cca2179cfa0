#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

namespace smddp {

/// Bytes of a stream by their offsets, of which a window that moves on is kept. Grows with what the
/// window holds.
class ByteRing {
 public:
  /// Makes room for the window from `begin` to `end`; what it holds from `begin` on stays.
  void reserve(std::uint64_t begin, std::uint64_t end) {
    std::size_t capacity = std::max(capacity_, kFirstCapacity);
    while (capacity < end - begin) capacity *= 2;
    if (capacity == capacity_) return;
    ByteRing larger(capacity);
    for (std::size_t done = 0; done < capacity_;) {
      const auto from = at(begin + done, capacity_ - done);
      const auto to = larger.at(begin + done, from.size());
      std::memcpy(to.data(), from.data(), to.size());
      done += to.size();
    }
    *this = std::move(larger);
  }

  /// The first of `bytes` from `offset` on, as many as lie in one piece.
  std::span<std::byte> at(std::uint64_t offset, std::size_t bytes) const {
    const std::size_t place = offset % capacity_;
    return {data_.get() + place, std::min(bytes, capacity_ - place)};
  }

  ByteRing() = default;

 private:
  static constexpr std::size_t kFirstCapacity = std::size_t{16} << 10;

  explicit ByteRing(std::size_t capacity)
      : data_(std::make_unique_for_overwrite<std::byte[]>(capacity)), capacity_(capacity) {}

  std::unique_ptr<std::byte[]> data_;
  std::size_t capacity_ = 0;
};

}  // namespace smddp
