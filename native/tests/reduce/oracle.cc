#include "reduce/oracle.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>

#include "reduce/small_float.h"

namespace smddp::test {
namespace {

template <class T>
T read_as(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

template <class T>
void write_as(std::byte* to, T value) {
  std::memcpy(to, &value, sizeof(T));
}

/// The definition: a range is split at the largest power of two below its length.
template <class Value, class Combine>
Value tree(std::span<const Value> values, Combine combine) {
  if (values.size() == 1) return values[0];
  std::size_t left = 1;
  while (left * 2 < values.size()) left *= 2;
  return combine(tree(values.first(left), combine), tree(values.subspan(left), combine));
}

template <class Value>
Value pick(ReduceOp op, Value left, Value right) {
  if (op == ReduceOp::kMin) return right < left ? right : left;
  return right > left ? right : left;
}

// Floats are carried as double. One operation on two float32 in double, rounded to float32, is the
// correctly rounded float32 operation, since double has more than twice the digits.
double round_to_computed(DType dtype, double value) {
  return dtype == DType::kFloat64 ? value : static_cast<double>(static_cast<float>(value));
}

double read_float(DType dtype, const std::byte* from) {
  switch (dtype) {
    case DType::kFloat64:
      return read_as<double>(from);
    case DType::kFloat32:
      return static_cast<double>(read_as<float>(from));
    case DType::kFloat16:
      return float16().decode(read_as<std::uint16_t>(from));
    default:
      return bfloat16().decode(read_as<std::uint16_t>(from));
  }
}

void write_float(DType dtype, std::byte* to, double value) {
  if (std::isnan(value)) value = std::numeric_limits<double>::quiet_NaN();
  switch (dtype) {
    case DType::kFloat64:
      return write_as(to, value);
    case DType::kFloat32:
      return write_as(to, static_cast<float>(value));
    case DType::kFloat16:
      return write_as(to, float16().encode(value));
    default:
      return write_as(to, bfloat16().encode(value));
  }
}

double combine_floats(const Reduction& reduction, double left, double right) {
  if (std::isnan(left)) return left;
  if (std::isnan(right)) return right;
  switch (reduction.op) {
    case ReduceOp::kSum:
      return round_to_computed(reduction.dtype, left + right);
    case ReduceOp::kProduct:
      return round_to_computed(reduction.dtype, left * right);
    default:
      return pick(reduction.op, left, right);
  }
}

double reduce_floats(const Reduction& reduction, std::span<const double> values) {
  const double whole = tree(
      values, [&](double left, double right) { return combine_floats(reduction, left, right); });
  return reduction.divisor > 1 ? round_to_computed(reduction.dtype, whole / reduction.divisor)
                               : whole;
}

bool is_signed(DType dtype) { return dtype >= DType::kInt8 && dtype <= DType::kInt64; }

/// The low bytes of `value`, extended with the sign or with zeros: integers are carried modulo
/// 2^64.
std::uint64_t wrap(DType dtype, std::uint64_t value) {
  const int unused_bits = 64 - 8 * static_cast<int>(size_of(dtype));
  const std::uint64_t shifted = value << unused_bits;
  return is_signed(dtype)
             ? static_cast<std::uint64_t>(static_cast<std::int64_t>(shifted) >> unused_bits)
             : shifted >> unused_bits;
}

std::uint64_t combine_integers(const Reduction& reduction, std::uint64_t left,
                               std::uint64_t right) {
  switch (reduction.op) {
    case ReduceOp::kSum:
      return wrap(reduction.dtype, left + right);
    case ReduceOp::kProduct:
      return wrap(reduction.dtype, left * right);
    case ReduceOp::kAnd:
      return left & right;
    case ReduceOp::kOr:
      return left | right;
    case ReduceOp::kXor:
      return left ^ right;
    default:
      break;
  }
  if (!is_signed(reduction.dtype)) return pick(reduction.op, left, right);
  return static_cast<std::uint64_t>(
      pick(reduction.op, static_cast<std::int64_t>(left), static_cast<std::int64_t>(right)));
}

std::uint64_t combine_bools(const Reduction& reduction, std::uint64_t left, std::uint64_t right) {
  switch (reduction.op) {
    case ReduceOp::kSum:
    case ReduceOp::kMax:
    case ReduceOp::kOr:
      return left != 0 || right != 0;
    case ReduceOp::kXor:
      return (left != 0) != (right != 0);
    default:
      return left != 0 && right != 0;
  }
}

std::uint64_t reduce_integers(const Reduction& reduction, std::span<const std::uint64_t> values) {
  const bool bools = reduction.dtype == DType::kBool;
  const std::uint64_t whole = tree(values, [&](std::uint64_t left, std::uint64_t right) {
    return bools ? combine_bools(reduction, left, right) : combine_integers(reduction, left, right);
  });
  if (bools) return whole != 0;
  if (reduction.divisor <= 1) return whole;
  if (!is_signed(reduction.dtype)) return whole / static_cast<std::uint64_t>(reduction.divisor);
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(whole) / reduction.divisor);
}

}  // namespace

Bytes expected_result(const Reduction& reduction, const std::vector<Bytes>& sources,
                      std::size_t source_count) {
  const std::size_t size = size_of(reduction.dtype);
  const std::size_t result_size = size_of(reduction.target_dtype());
  const std::size_t count = sources[0].size() / size;
  Bytes result(count * result_size);
  std::vector<double> floats(source_count);
  std::vector<std::uint64_t> integers(source_count);
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t k = 0; k < source_count; ++k) {
      const std::byte* const from = &sources[k][i * size];
      if (is_floating(reduction.dtype)) {
        floats[k] = read_float(reduction.dtype, from);
      } else {
        std::uint64_t raw = 0;
        std::memcpy(&raw, from, size);  // little endian, as every machine that we build for
        integers[k] = wrap(reduction.dtype, raw);
      }
    }
    std::byte* const to = &result[i * result_size];
    if (is_floating(reduction.dtype)) {
      write_float(reduction.target_dtype(), to, reduce_floats(reduction, floats));
    } else {
      const std::uint64_t value = reduce_integers(reduction, integers);
      std::memcpy(to, &value, size);
    }
  }
  return result;
}

}  // namespace smddp::test
