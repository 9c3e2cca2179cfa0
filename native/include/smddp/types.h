#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "smddp/export.h"

namespace smddp {

/// Number of a process in its communicator, 0 .. world - 1.
using Rank = std::int32_t;

enum class DType : std::uint8_t {
  kFloat64,
  kFloat32,
  kFloat16,
  kBFloat16,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kUint8,
  kUint16,
  kUint32,
  kUint64,
  kBool,
};
inline constexpr int kDTypeCount = 13;

/// kAverage is the sum followed by one division by the world size (integers: truncating division).
/// On kBool, sum and max mean "or", product and min mean "and".
enum class ReduceOp : std::uint8_t { kSum, kProduct, kMin, kMax, kAverage, kAnd, kOr, kXor };
inline constexpr int kReduceOpCount = 8;

enum class Collective : std::uint8_t {
  kAllReduce,
  kReduceScatter,
  kAllGather,
  kBroadcast,
  kReduce,
  kBarrier,
  kAllToAll,
  kGather,
};

SMDDP_API std::size_t size_of(DType dtype) noexcept;  ///< bytes of one element
SMDDP_API bool is_floating(DType dtype) noexcept;
/// Whether `op` is defined on `dtype`: bitwise ops need integers or bool, average excludes bool.
SMDDP_API bool is_defined(ReduceOp op, DType dtype) noexcept;

SMDDP_API std::string_view name_of(DType dtype) noexcept;            ///< "float32"
SMDDP_API std::string_view name_of(ReduceOp op) noexcept;            ///< "sum"
SMDDP_API std::string_view name_of(Collective collective) noexcept;  ///< "all_reduce"

}  // namespace smddp
