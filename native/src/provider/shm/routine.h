#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "smddp/types.h"

#include "base/native_step.h"
#include "provider/shm/region.h"

namespace smddp {

inline constexpr std::size_t kCacheLine = 64;

/// One native step bound to memory, seen by one rank of the group.
struct ShmCall {
  const ShmRegion* region = nullptr;
  int self = 0;
  int ranks = 1;
  const NativeStep* step = nullptr;
  DType dtype = DType::kUint8;
  DType out_dtype = DType::kUint8;  ///< another one in reduce_scatter only
  std::size_t element_bytes = 1;
  std::size_t out_element_bytes = 1;
  const std::byte* in = nullptr;
  std::byte* out = nullptr;
  std::span<const std::byte*>
      sources;  ///< room for one pointer per rank, so that calls do not allocate

  const std::byte* in_at(std::size_t element) const { return in + element * element_bytes; }
  std::byte* out_at(std::size_t element) const { return out + element * out_element_bytes; }
  /// Bytes of one of `shares` equal pieces of a staging half; pieces start on cache lines.
  std::size_t piece_bytes(std::size_t shares) const {
    return region->half_bytes() / shares / kCacheLine * kCacheLine;
  }
  /// Elements that fit into such a piece.
  std::size_t window(std::size_t shares) const { return piece_bytes(shares) / element_bytes; }
};

/// A round of a collective moves one staging half of every rank:
///   copy_in    what peers need goes from the user's memory into this rank's half
///   (all ranks have copied in)
///   consume    this rank uses the halves of its peers
///   (all ranks have consumed; only when `has_second_stage`)
///   copy_out   this rank fetches what its peers made in their halves
/// `chunk` selects the half. Nothing here waits.
class ShmRoutine {
 public:
  virtual ~ShmRoutine() = default;
  virtual std::uint64_t rounds() const = 0;
  virtual bool has_second_stage() const { return false; }
  /// A rank that, as `copy_in` of round 0 has told, means other counts than this one; -1: none.
  virtual int disagreeing_rank(std::uint64_t /*chunk*/) const { return -1; }
  /// Instead of copy_in, where the data itself is read where it is: what peers must know besides.
  virtual void tell(std::uint64_t /*chunk*/) {}
  virtual void copy_in(std::uint64_t round, std::uint64_t chunk) = 0;
  virtual void consume(std::uint64_t round, std::uint64_t chunk) = 0;
  virtual void copy_out(std::uint64_t /*round*/, std::uint64_t /*chunk*/) {}
};

}  // namespace smddp
