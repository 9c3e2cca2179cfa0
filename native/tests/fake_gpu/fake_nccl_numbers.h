#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "provider/nccl/abi.h"

namespace smddp::nccl::fake {

/// A dtype that the CPU knows: how it lies in memory, and what to compute with.
template <typename T>
struct Plain {
  using Stored = T;
  using Value = T;
  static Value load(Stored stored) { return stored; }
  static Stored store(Value value) { return value; }
};

/// A floating-point number of at most 16 bits, computed as float. `kLargest` is the code of the
/// largest finite number, `kInfinity` that of infinity, or 0 where the format has none.
template <typename Code, int kMantissa, int kBias, unsigned kLargest, unsigned kInfinity>
struct Small {
  using Stored = Code;
  using Value = float;
  static constexpr unsigned kSign = 1U << (sizeof(Code) * 8 - 1);
  static constexpr int kLeastExponent = 1 - kBias;
  // As CUDA converts: 8 bits saturate.
  static constexpr unsigned kOverflow = sizeof(Code) == 1 ? kLargest : kInfinity;

  static float load(Code code) {
    const unsigned size = code & (kSign - 1);
    const float sign = (code & kSign) != 0 ? -1.0F : 1.0F;
    if (size > kLargest) {
      return size == kInfinity ? sign * std::numeric_limits<float>::infinity()
                               : std::numeric_limits<float>::quiet_NaN();
    }
    const unsigned fraction = size & ((1U << kMantissa) - 1);
    const int exponent = static_cast<int>(size >> kMantissa);
    if (exponent == 0) return sign * scaled(fraction, kLeastExponent - kMantissa);
    return sign * scaled(fraction + (1U << kMantissa), exponent - kBias - kMantissa);
  }

  /// Rounds to the nearest, ties to even.
  static Code store(float value) {
    if (std::isnan(value)) return static_cast<Code>(kSign - 1);
    const unsigned sign = std::signbit(value) ? kSign : 0;
    const float size = std::fabs(value);
    const int found = static_cast<int>(std::bit_cast<std::uint32_t>(size) >> 23) - 127;
    const int exponent = found < kLeastExponent ? kLeastExponent : found;
    // A fraction rounded up to the next power of two carries into the exponent, as it should.
    const unsigned fraction =
        std::isinf(size) ? 0
                         : static_cast<unsigned>(std::lrint(scaled(size, kMantissa - exponent)));
    const unsigned code =
        (static_cast<unsigned>(exponent - kLeastExponent) << kMantissa) + fraction;
    return static_cast<Code>(sign | (code > kLargest || std::isinf(size) ? kOverflow : code));
  }

 private:
  /// number * 2^exponent; the power is made of bits because ldexp is slow.
  template <typename Number>
  static float scaled(Number number, int exponent) {
    const double power = std::bit_cast<double>(static_cast<std::uint64_t>(1023 + exponent) << 52);
    return static_cast<float>(static_cast<double>(number) * power);
  }
};

using Float16 = Small<std::uint16_t, 10, 15, 0x7bff, 0x7c00>;
using BFloat16 = Small<std::uint16_t, 7, 127, 0x7f7f, 0x7f80>;
using Float8E4m3 = Small<std::uint8_t, 3, 7, 0x7e, 0>;
using Float8E5m2 = Small<std::uint8_t, 2, 15, 0x7b, 0x7c>;

/// Bytes of an element; 0: no such dtype.
inline std::size_t size_of(DataType type) {
  switch (type) {
    case DataType::kInt8:
    case DataType::kUint8:
    case DataType::kFloat8E4m3:
    case DataType::kFloat8E5m2:
      return 1;
    case DataType::kFloat16:
    case DataType::kBFloat16:
      return 2;
    case DataType::kInt32:
    case DataType::kUint32:
    case DataType::kFloat32:
      return 4;
    case DataType::kInt64:
    case DataType::kUint64:
    case DataType::kFloat64:
      return 8;
  }
  return 0;
}

template <typename T>
T element(const std::byte* data, std::size_t index) {
  T value;
  std::memcpy(&value, data + index * sizeof(T), sizeof(T));
  return value;
}

/// The elements of all ranks, in rank order.
using Inputs = std::vector<const std::byte*>;

/// Rounds after each step, as NCCL does. `prepare` and `finish` change the inputs and the result.
template <typename Number, typename Prepare, typename Combine, typename Finish>
void fold(const Inputs& inputs, std::byte* out, std::size_t count, Prepare prepare, Combine combine,
          Finish finish) {
  using Stored = typename Number::Stored;
  const auto at = [&](std::size_t rank, std::size_t index) {
    return Number::load(Number::store(prepare(Number::load(element<Stored>(inputs[rank], index)))));
  };
  for (std::size_t index = 0; index < count; ++index) {
    auto sum = at(0, index);
    for (std::size_t rank = 1; rank < inputs.size(); ++rank)
      sum = Number::load(Number::store(combine(sum, at(rank, index))));
    const Stored stored = Number::store(finish(sum));
    std::memcpy(out + index * sizeof(Stored), &stored, sizeof(Stored));
  }
}

/// Sums and products of whole numbers wrap around, which C++ only promises for unsigned ones.
template <typename Value>
Value sum_of(Value left, Value right) {
  if constexpr (std::is_integral_v<Value>)
    return static_cast<Value>(static_cast<std::uint64_t>(left) + static_cast<std::uint64_t>(right));
  else
    return left + right;
}

template <typename Value>
Value product_of(Value left, Value right) {
  if constexpr (std::is_integral_v<Value>)
    return static_cast<Value>(static_cast<std::uint64_t>(left) * static_cast<std::uint64_t>(right));
  else
    return left * right;
}

/// As fmax and fmin do: a number wins over what is none.
template <typename Value>
Value larger_of(Value left, Value right) {
  return left < right || left != left ? right : left;
}

template <typename Value>
Value smaller_of(Value left, Value right) {
  return right < left || left != left ? right : left;
}

template <typename Number>
void average(const Inputs& inputs, std::byte* out, std::size_t count) {
  using Value = typename Number::Value;
  const auto ranks = static_cast<Value>(inputs.size());
  const auto same = [](Value value) { return value; };
  if constexpr (std::is_integral_v<Value>) {
    fold<Number>(inputs, out, count, same, sum_of<Value>,
                 [ranks](Value value) { return static_cast<Value>(value / ranks); });
  } else {
    const Value part = Number::load(Number::store(Value{1} / ranks));
    fold<Number>(
        inputs, out, count, [part](Value value) { return value * part; }, sum_of<Value>, same);
  }
}

template <typename Number>
void reduce_as(RedOp op, const Inputs& inputs, std::byte* out, std::size_t count) {
  using Value = typename Number::Value;
  const auto same = [](Value value) { return value; };
  switch (op) {
    case RedOp::kSum:
      return fold<Number>(inputs, out, count, same, sum_of<Value>, same);
    case RedOp::kProduct:
      return fold<Number>(inputs, out, count, same, product_of<Value>, same);
    case RedOp::kMax:
      return fold<Number>(inputs, out, count, same, larger_of<Value>, same);
    case RedOp::kMin:
      return fold<Number>(inputs, out, count, same, smaller_of<Value>, same);
    case RedOp::kAverage:
      return average<Number>(inputs, out, count);
  }
}

inline void reduce(DataType type, RedOp op, const Inputs& inputs, std::byte* out,
                   std::size_t count) {
  switch (type) {
    case DataType::kInt8:
      return reduce_as<Plain<std::int8_t>>(op, inputs, out, count);
    case DataType::kUint8:
      return reduce_as<Plain<std::uint8_t>>(op, inputs, out, count);
    case DataType::kInt32:
      return reduce_as<Plain<std::int32_t>>(op, inputs, out, count);
    case DataType::kUint32:
      return reduce_as<Plain<std::uint32_t>>(op, inputs, out, count);
    case DataType::kInt64:
      return reduce_as<Plain<std::int64_t>>(op, inputs, out, count);
    case DataType::kUint64:
      return reduce_as<Plain<std::uint64_t>>(op, inputs, out, count);
    case DataType::kFloat16:
      return reduce_as<Float16>(op, inputs, out, count);
    case DataType::kFloat32:
      return reduce_as<Plain<float>>(op, inputs, out, count);
    case DataType::kFloat64:
      return reduce_as<Plain<double>>(op, inputs, out, count);
    case DataType::kBFloat16:
      return reduce_as<BFloat16>(op, inputs, out, count);
    case DataType::kFloat8E4m3:
      return reduce_as<Float8E4m3>(op, inputs, out, count);
    case DataType::kFloat8E5m2:
      return reduce_as<Float8E5m2>(op, inputs, out, count);
  }
}

}  // namespace smddp::nccl::fake
