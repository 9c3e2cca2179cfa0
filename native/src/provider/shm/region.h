#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/signature.h"

namespace smddp {

/// What one rank announces, in one cache line, so that a waiting peer fetches everything at once.
/// Stages count up for the life of the group; stage s is announced in cell s % 2. A peer can be at
/// most one stage ahead of the ranks that it waits for, so a cell is never overwritten before
/// everybody has read it.
struct alignas(64) StageCell {
  std::atomic<std::uint64_t> stage;
  std::uint64_t rounds;  ///< how many rounds this rank needs; valid in the first stage of a call
  Envelope envelope;     ///< which operation; valid in the first stage of a call
};
static_assert(sizeof(StageCell) == 64);

struct RankCells {
  std::array<StageCell, 2> cells;
};

/// The part of a host's shared segment that the provider uses: cells, then two staging halves for
/// each rank. Zeroed memory is its initial state.
class ShmRegion {
 public:
  static std::size_t bytes_needed(int ranks, std::size_t half_bytes) {
    return static_cast<std::size_t>(ranks) * (sizeof(RankCells) + 2 * half_bytes);
  }

  /// `memory` is 64-byte aligned; `half_bytes` is a multiple of 4096.
  ShmRegion(std::span<std::byte> memory, int ranks, std::size_t half_bytes)
      : cells_(reinterpret_cast<RankCells*>(memory.data())),
        staging_(memory.data() + static_cast<std::size_t>(ranks) * sizeof(RankCells)),
        half_bytes_(half_bytes) {}

  StageCell& cell(int rank, std::uint64_t stage) const {
    return cells_[rank].cells[static_cast<std::size_t>(stage % 2)];
  }
  std::byte* half(int rank, std::uint64_t chunk) const {
    return staging_ + (2 * static_cast<std::size_t>(rank) + chunk % 2) * half_bytes_;
  }
  std::size_t half_bytes() const { return half_bytes_; }

 private:
  RankCells* cells_;
  std::byte* staging_;
  std::size_t half_bytes_;
};

}  // namespace smddp
