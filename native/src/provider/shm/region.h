#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/signature.h"

namespace smddp {

/// Where a rank's arrays for a call lie.
enum class ArrayPlace : std::uint64_t {
  kPlain,       ///< some in memory that peers cannot reach
  kRegistered,  ///< those that peers need in its registered heap, at the offsets of `Offsets`
  kUnneeded,    ///< peers need none of them
};

/// Of a rank's arrays in its registered heap; valid for those that peers need.
struct Offsets {
  std::uint64_t in = 0;
  std::uint64_t out = 0;
};

/// The first line of a slot: everything that a peer needs to take part in a small operation, in one
/// cache line, so that a waiting peer fetches it at once.
struct alignas(64) ReadyLine {
  std::atomic<std::uint64_t> ready;  ///< chunk number + 1
  // Valid in the first round of a call:
  std::uint64_t rounds : 56;  ///< how many this rank needs
  ArrayPlace place : 8;
  Envelope envelope;  ///< which operation
  /// What fits here is not staged elsewhere. Of a rank whose place is kRegistered: its `Offsets`.
  std::array<std::byte, 16> payload;
};
static_assert(sizeof(ReadyLine) == 64);

struct alignas(64) ConsumedLine {
  std::atomic<std::uint64_t> consumed;  ///< chunk number + 1
  std::atomic<std::uint64_t>
      abandoned;  ///< the same: the rank has failed, and touches nothing more
};

/// Written only when it changes, so that reading it costs nothing.
struct alignas(64) WhereLine {
  std::atomic<std::uint32_t> processor;  ///< where the rank runs, + 1; 0: not known
};

/// The part of a host's shared segment that the provider uses: two slots for each rank, each one
/// its lines and then a staging half, and before them a line that says where the rank runs. Chunk c
/// of the group's life uses slot c % 2. A peer can be at most one chunk ahead of the ranks that it
/// waits for, so a slot is never overwritten before everybody has read it. Zeroed memory is the
/// initial state.
class ShmRegion {
 public:
  static std::size_t bytes_needed(int ranks, std::size_t half_bytes) {
    return static_cast<std::size_t>(ranks) * rank_bytes(half_bytes);
  }

  /// `memory` is 64-byte aligned; `half_bytes` is a multiple of 4096.
  ShmRegion(std::span<std::byte> memory, std::size_t half_bytes)
      : memory_(memory.data()), half_bytes_(half_bytes) {}

  WhereLine& where(int rank) const {
    return *reinterpret_cast<WhereLine*>(memory_ +
                                         static_cast<std::size_t>(rank) * rank_bytes(half_bytes_));
  }
  ReadyLine& ready(int rank, std::uint64_t chunk) const {
    return *reinterpret_cast<ReadyLine*>(slot(rank, chunk));
  }
  ConsumedLine& consumed(int rank, std::uint64_t chunk) const {
    return *reinterpret_cast<ConsumedLine*>(slot(rank, chunk) + sizeof(ReadyLine));
  }
  std::byte* half(int rank, std::uint64_t chunk) const { return slot(rank, chunk) + kLines; }
  /// Where a rank puts `bytes` bytes for everybody: beside its flag when they fit there.
  std::byte* staging(int rank, std::uint64_t chunk, std::size_t bytes) const {
    ReadyLine& line = ready(rank, chunk);
    return bytes <= line.payload.size() ? line.payload.data() : half(rank, chunk);
  }
  std::size_t half_bytes() const { return half_bytes_; }

 private:
  static constexpr std::size_t kLines = sizeof(ReadyLine) + sizeof(ConsumedLine);

  static std::size_t slot_bytes(std::size_t half_bytes) { return kLines + half_bytes; }
  static std::size_t rank_bytes(std::size_t half_bytes) {
    return sizeof(WhereLine) + 2 * slot_bytes(half_bytes);
  }
  std::byte* slot(int rank, std::uint64_t chunk) const {
    return reinterpret_cast<std::byte*>(&where(rank) + 1) + chunk % 2 * slot_bytes(half_bytes_);
  }

  std::byte* memory_;
  std::size_t half_bytes_;
};

}  // namespace smddp
