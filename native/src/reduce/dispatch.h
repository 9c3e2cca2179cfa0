#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "smddp/types.h"

#include "reduce/reduce.h"

namespace smddp::reduce {

/// Arrays usually begin at the same place of a page, so that more of them, written at the same
/// time, would fight for the same lines of the cache.
inline constexpr std::size_t kMostTargets = 8;

/// What one kernel call works on; the meaning is that of `reduce_sources`.
struct KernelArgs {
  const std::byte* const* sources;
  std::size_t source_count;
  std::byte* const* targets;
  std::size_t target_count;  ///< 1 to kMostTargets
  std::size_t count;         ///< elements
  int divisor;
};

using Kernel = void (*)(const KernelArgs&);

/// All kernels compiled for one instruction set. A null entry means that the operation is not
/// defined on the dtype.
struct KernelTable {
  using ByOperation = Kernel[kDTypeCount][kReduceOpCount];

  std::string_view name;  ///< "avx512", "avx2" or "baseline"
  ByOperation kernels;
  ByOperation widening;   ///< to float32
  ByOperation narrowing;  ///< from float32

  constexpr Kernel find(DType dtype, ReduceOp op) const { return find({dtype, dtype}, op); }
  constexpr Kernel find(const ReduceTypes& types, ReduceOp op) const {
    const auto operation = static_cast<std::size_t>(op);
    const auto source = static_cast<std::size_t>(types.source);
    const auto target = static_cast<std::size_t>(types.target);
    if (types.source == types.target) return kernels[source][operation];
    if (types.target == DType::kFloat32) return widening[source][operation];
    return types.source == DType::kFloat32 ? narrowing[target][operation] : nullptr;
  }
};

/// Tables that this machine can run, slowest first; never empty. All of them give the same bits.
std::span<const KernelTable* const> available_kernels();

/// The table called `name`, or null when this machine cannot run it.
const KernelTable* kernels_for(std::string_view name);

}  // namespace smddp::reduce
