#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "smddp/types.h"

namespace smddp {

/// What the elements of a reduction are. Two different dtypes: float16 or bfloat16, and float32;
/// for sum and product.
struct ReduceTypes {
  DType source;
  DType target;
};

/// target[i] = ((s0[i] op s1[i]) op (s2[i] op s3[i])) op ..., a sum divided by `divisor` when that
/// is above 1, for each of the targets.
///
/// The order is canonical: a balanced binary tree over the index of the source, where a range of n
/// sources is split at the largest power of two below n. float16 and bfloat16 accumulate in float32
/// and are rounded (to nearest even) once, at the end, unless the target is float32. Integers wrap
/// around; division truncates towards zero. min and max propagate NaN and keep the left one of
/// equal zeros. A NaN is written as the positive quiet NaN without payload. A bool is false when
/// its byte is 0; 0 or 1 is written.
///
/// A target of the same dtype may be equal to one of the sources (exactly, not shifted). `count`
/// may be 0. Pointers are aligned as the element types. The result has the same bits on every
/// instruction set.
///
/// Aborts, with a message, when `op` is not defined on `types` (`op` is never kAverage: that is
/// kSum with a divisor), when bools or what is no sum are to be divided, or when there is no source
/// or no target.
void reduce_sources(const ReduceTypes& types, ReduceOp op, int divisor,
                    std::span<const std::byte* const> sources, std::span<std::byte* const> targets,
                    std::size_t count);

/// The same for sources and targets of one dtype.
void reduce_sources(DType dtype, ReduceOp op, int divisor,
                    std::span<const std::byte* const> sources, std::span<std::byte* const> targets,
                    std::size_t count);

/// Instruction set that the machine's best kernels use: "avx512", "avx2" or "baseline".
std::string_view simd_name();

}  // namespace smddp
