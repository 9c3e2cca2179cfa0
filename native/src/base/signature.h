#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>

#include "smddp/types.h"

namespace smddp {

/// 32 opaque bytes that travel with every message; a receive completes with kMismatch when the
/// sender's bytes differ from the receiver's.
using Envelope = std::array<std::byte, 32>;

/// The fields of an operation that its collective requires to be equal on all ranks; a field that
/// may differ is zero (or -1 for root). Compared byte by byte, so the layout has no padding.
struct Signature {
  std::uint64_t sequence = 0;
  std::uint64_t count = 0;        ///< elements
  std::uint64_t counts_hash = 0;  ///< of per-rank counts, 0 when they are equal
  std::int32_t root = -1;
  Collective collective = Collective::kBarrier;
  DType dtype = DType::kUint8;
  ReduceOp op = ReduceOp::kSum;
  std::uint8_t reserved = 0;

  friend bool operator==(const Signature&, const Signature&) = default;
};
static_assert(sizeof(Signature) == sizeof(Envelope));

inline Envelope to_envelope(const Signature& signature) {
  return std::bit_cast<Envelope>(signature);
}
inline Signature to_signature(const Envelope& envelope) {
  return std::bit_cast<Signature>(envelope);
}

/// "all_reduce #12 (float32, 1000 elements, sum)"
std::string describe(const Signature& signature);

}  // namespace smddp
