#pragma once

// What the engine and the kernels (native/kernels) both know. Compiled by g++ and by nvcc.

#include <cstddef>
#include <cstdint>

#include "smddp/types.h"

namespace smddp::cuda {

/// Ranks that one kernel adds or writes to.
inline constexpr int kMostRanks = 32;

/// What kernel "reduce_<dtype>" gets: out[k][i] = in[0][i] op in[1][i] op ... for every k < targets
/// and i < count, in the canonical order. A target may be a source.
struct ReduceArguments {
  const std::byte* in[kMostRanks];
  std::byte* out[kMostRanks];
  std::uint64_t count;  ///< elements
  std::int32_t sources;
  std::int32_t targets;
  ReduceOp op;
  bool aligned;  ///< all pointers, to 16 bytes
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
inline constexpr int kKernelsVersion = 1;

}  // namespace smddp::cuda
