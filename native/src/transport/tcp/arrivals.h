#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "transport/tcp/byte_ring.h"

namespace smddp {

/// Bytes of a stream that arrive in any order, and some of them twice: puts them where the reader
/// wants them, and keeps what it does not want yet.
class Arrivals {
 public:
  /// Where bytes belong. `to` null: they have been here before.
  struct Place {
    std::byte* to = nullptr;
    std::size_t bytes = 0;
    bool at_reader = false;
  };

  /// The reader wants what comes next in `pieces`; see `ByteStream::read`.
  void open(std::span<const iovec> pieces, std::size_t lasting);
  /// How many bytes of the pieces it has got.
  std::size_t filled() const noexcept { return taken_ - opened_; }
  void close();

  /// Where the first of `bytes` from `offset` on go.
  Place place(std::uint64_t offset, std::size_t bytes);
  /// They are there; `place` is what was said of them, with as many bytes as have come.
  void note(std::uint64_t offset, const Place& place);

  /// How far the reader has come.
  std::uint64_t taken() const noexcept { return taken_; }
  bool has_next() const noexcept { return !ranges_.empty() && ranges_.front().begin == taken_; }

 private:
  /// Bytes ahead of the reader that have come.
  struct Range {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    bool at_reader = false;
  };

  std::span<std::byte> next_of_pieces() const;
  void absorb();

  std::uint64_t taken_ = 0;
  std::uint64_t opened_ = 0;  ///< offset of the first byte of the pieces
  std::span<const iovec> pieces_;
  std::size_t lasting_ = 0;
  ByteRing ring_;
  std::vector<Range> ranges_;  ///< ascending, apart
};

}  // namespace smddp
