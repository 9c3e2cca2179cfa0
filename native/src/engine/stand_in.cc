#include "engine/stand_in.h"

#include <bit>
#include <cstddef>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

namespace smddp {
namespace {

/// 1, infinity and the sign as the bits of a floating type.
struct FloatBits {
  std::uint64_t one;
  std::uint64_t infinity;
  std::uint64_t sign;
};

FloatBits float_bits(DType dtype) {
  switch (dtype) {
    case DType::kFloat64:
      return {0x3ff0000000000000, 0x7ff0000000000000, 0x8000000000000000};
    case DType::kFloat32:
      return {0x3f800000, 0x7f800000, 0x80000000};
    case DType::kFloat16:
      return {0x3c00, 0x7c00, 0x8000};
    default:  // bfloat16, the last of those that can be reduced
      return {0x3f80, 0x7f80, 0x8000};
  }
}

bool is_signed_integer(DType dtype) {
  return dtype == DType::kInt8 || dtype == DType::kInt16 || dtype == DType::kInt32 ||
         dtype == DType::kInt64;
}

/// The largest value of a type, as bits; the smallest is its complement in integers.
std::uint64_t largest_integer(DType dtype) {
  if (dtype == DType::kBool) return 1;
  constexpr auto kAll = std::numeric_limits<std::uint64_t>::max();
  return is_signed_integer(dtype) ? (std::uint64_t{1} << (8 * size_of(dtype) - 1)) - 1 : kAll;
}

/// The value that changes nothing when it is reduced with others, in the lowest bytes.
std::uint64_t neutral(ReduceOp op, DType dtype) {
  const FloatBits bits = float_bits(dtype);
  switch (op) {
    case ReduceOp::kProduct:
      return is_floating(dtype) ? bits.one : 1;
    case ReduceOp::kMin:
      return is_floating(dtype) ? bits.infinity : largest_integer(dtype);
    case ReduceOp::kMax:
      if (is_floating(dtype)) return bits.infinity | bits.sign;
      return dtype == DType::kBool ? 0 : ~largest_integer(dtype);
    case ReduceOp::kAnd:
      return dtype == DType::kBool ? 1 : std::numeric_limits<std::uint64_t>::max();
    default:  // an average is a sum as well
      return 0;
  }
}

}  // namespace

Outline outline_of(const Request& request) {
  return {.collective = request.collective,
          .dtype = request.dtype,
          .op = request.op,
          .root = request.root,
          .count = request.count};
}

bool can_stand_in(const Outline& outline, Rank self) {
  return outline.collective == Collective::kAllReduce ||
         outline.collective == Collective::kBarrier ||
         (outline.collective == Collective::kBroadcast && outline.root != self);
}

Request make_stand_in(const Outline& outline) {
  const std::size_t element = size_of(outline.dtype);
  auto memory = std::make_shared<std::vector<std::byte>>(outline.count * element);
  if (outline.collective == Collective::kAllReduce) {
    static_assert(std::endian::native == std::endian::little, "the lowest bytes come first");
    const std::uint64_t value = neutral(outline.op, outline.dtype);
    for (std::size_t at = 0; value != 0 && at < memory->size(); at += element)
      std::memcpy(memory->data() + at, &value, element);
  }
  Request request;
  request.collective = outline.collective;
  request.dtype = outline.dtype;
  request.op = outline.op;
  request.root = outline.root;
  request.count = outline.count;
  request.in = request.out = memory->data();
  request.keep_alive = std::move(memory);
  return request;
}

}  // namespace smddp
