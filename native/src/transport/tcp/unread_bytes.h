#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "transport/ring_queue.h"
#include "transport/tcp/byte_ring.h"
#include "transport/tcp/chunk.h"

namespace smddp {

/// What this rank has sent and its peer has not read yet, in chunks: they are sent again when their
/// rail is lost.
class UnreadBytes {
 public:
  static constexpr int kNoRail = -1;

  struct Chunk {
    std::uint64_t offset = 0;
    std::size_t bytes = 0;
    int rail = kNoRail;

    std::uint64_t end() const noexcept { return offset + bytes; }
  };

  std::uint64_t begin() const noexcept { return begin_; }
  std::uint64_t end() const noexcept { return end_; }
  std::size_t room() const noexcept { return kStreamWindow - (end_ - begin_); }

  /// Copies `bytes` of `pieces`, without the first `skipped`, as the next chunk of `rail`.
  Chunk append(std::span<const iovec> pieces, std::size_t skipped, std::size_t bytes, int rail);
  /// The peer has read everything before `offset`, which has been sent.
  void forget(std::uint64_t offset);
  /// The rail is lost, and its chunks have none.
  void orphan(int rail);
  /// Gives `rail` the first chunk that has none; of no bytes if all have one.
  Chunk adopt(int rail);
  bool has_orphans() const noexcept { return orphans_ > 0; }
  /// Where the first chunk without a rail begins; `end()` if all have one.
  std::uint64_t first_orphan() const noexcept;

  std::span<const std::byte> at(std::uint64_t offset, std::size_t bytes) const {
    return ring_.at(offset, bytes);
  }

 private:
  ByteRing ring_;
  RingQueue<Chunk> chunks_;
  std::size_t orphans_ = 0;
  std::uint64_t begin_ = 0;
  std::uint64_t end_ = 0;
};

}  // namespace smddp
