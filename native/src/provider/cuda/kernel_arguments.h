#pragma once

// What the engine and the kernels (native/kernels) both know. Compiled by g++ and by nvcc.

#include <cstddef>
#include <cstdint>

#include "smddp/types.h"

namespace smddp::cuda {

/// Ranks that one kernel adds or writes to.
inline constexpr int kMostRanks = 32;

/// What one rank tells another one, on a line of its own in memory that the other's GPU reads.
struct alignas(64) RankLine {
  // Its streams write these:
  std::uint32_t ready;      ///< the last round for which others may use what it shows them
  std::uint32_t through;    ///< the last round in which it is through with the memory of others
  std::uint64_t operation;  ///< for which round of what the next two are
  std::uint64_t in;         ///< what the other reads of it, as the other's GPU addresses it
  std::uint64_t out;        ///< where the other writes
  // Its host writes this:
  std::uint32_t given_up;  ///< the turn of these lines in which it has
};

/// What kernel "reduce_<dtype>" gets: out[k][i] = in[0][i] op in[1][i] op ... for every k < targets
/// and i < count, in the canonical order. A target may be a source. "copy_bytes" gets the same with
/// one source, and counts bytes.
///
/// A null in[k] or out[k] is what the line of rank first_source + k or first_target + k tells. When
/// such a line is of another operation, or its rank has given up, nothing is read or written: the
/// ranks have called different things, or stopped waiting for each other.
struct ReduceArguments {
  const std::byte* in[kMostRanks];
  std::byte* out[kMostRanks];
  const RankLine* lines;    ///< of all ranks; null: all pointers are here
  std::uint32_t* left_out;  ///< becomes `round`, if it is 0, when a line is of another operation
  std::uint64_t operation;  ///< which of whose rounds this is
  std::uint64_t count;      ///< elements
  std::int32_t sources;
  std::int32_t targets;
  std::int32_t first_source;
  std::int32_t first_target;
  std::uint32_t round;  ///< not 0
  std::uint32_t turn;   ///< of the lines
  ReduceOp op;
};

/// Elements that a thread takes at once: 16 bytes of those that gradients are made of, and fewer of
/// the narrow ones, whose lanes would not fit into registers when each is as wide as an int.
constexpr int lanes_of(std::size_t bytes, bool is_floating) {
  if (bytes == 1) return 4;
  return 16 / static_cast<int>(is_floating || bytes > sizeof(int) ? bytes : sizeof(int));
}

/// What the shared object of the kernels tells by its function kKernelsFunction, of this type.
struct KernelImage {
  std::int32_t version;       ///< kKernelsVersion, where they fit
  std::uint32_t bytes;        ///< of the image
  const void* image;          ///< for cuModuleLoadData
  const char* architectures;  ///< for people: "sm_80 sm_90"
};
using KernelsFunction = KernelImage (*)();
inline constexpr const char* kKernelsFunction = "smddp_kernels";
/// Changes with ReduceArguments and with what kernels do.
inline constexpr int kKernelsVersion = 2;

}  // namespace smddp::cuda
