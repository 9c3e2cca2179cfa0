#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "smddp/export.h"

namespace smddp {

/// Number of a process in its communicator, 0 .. world - 1.
using Rank = std::int32_t;
/// Of a receive: whoever sends first.
inline constexpr Rank kAnyRank = -1;

/// Those from kComplex64 on can be moved, and not reduced.
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
  kComplex64,
  kComplex128,
  kFloat8E4m3fn,
  kFloat8E5m2,
  kFloat8E4m3fnuz,
  kFloat8E5m2fnuz,
  kFloat8E8m0fnu,
};
inline constexpr int kDTypeCount = 20;

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
  kScatter,
};
inline constexpr int kCollectiveCount = 9;

/// What an operation is for a message between two ranks; kNone: it is a collective.
enum class MessageSide : std::uint8_t { kNone, kSend, kRecv };

SMDDP_API std::size_t size_of(DType dtype) noexcept;  ///< bytes of one element
SMDDP_API bool is_floating(DType dtype) noexcept;
/// Whether `op` is defined on `dtype`: bitwise ops need integers or bool, average excludes bool,
/// and complex numbers and float8 have none.
SMDDP_API bool is_defined(ReduceOp op, DType dtype) noexcept;

SMDDP_API std::string_view name_of(DType dtype) noexcept;            ///< "float32"
SMDDP_API std::string_view name_of(ReduceOp op) noexcept;            ///< "sum"
SMDDP_API std::string_view name_of(Collective collective) noexcept;  ///< "all_reduce"

}  // namespace smddp
