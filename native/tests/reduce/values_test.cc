// Values chosen by hand, with results written down rather than computed.

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include <doctest/doctest.h>

#include "reduce/dispatch.h"
#include "reduce/small_float.h"

namespace smddp {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr std::uint32_t kNanBits = 0x7fc0'0000;

/// Two sources of elements of `T`, long enough to fill vectors and to leave a tail.
template <class T>
std::vector<T> reduce_pairs(const reduce::KernelTable& table, DType dtype, ReduceOp op,
                            const std::vector<T>& left, const std::vector<T>& right,
                            int divisor = 1) {
  std::vector<T> result(left.size());
  const std::byte* const sources[] = {reinterpret_cast<const std::byte*>(left.data()),
                                      reinterpret_cast<const std::byte*>(right.data())};
  std::byte* const target = reinterpret_cast<std::byte*>(result.data());
  table.find(dtype, op)({sources, 2, &target, 1, left.size(), divisor});
  return result;
}

/// One pair of elements, repeated; checks that vector and tail agree.
template <class T>
T reduce_pair(const reduce::KernelTable& table, DType dtype, ReduceOp op, T left, T right,
              int divisor = 1) {
  constexpr std::size_t kCount = 64 / sizeof(T) + 3;
  const std::vector<T> result = reduce_pairs(table, dtype, op, std::vector<T>(kCount, left),
                                             std::vector<T>(kCount, right), divisor);
  const auto bytes = std::as_bytes(std::span(result));
  const auto first = bytes.first(sizeof(T));
  for (std::size_t i = 0; i < bytes.size(); i += sizeof(T)) {
    REQUIRE(std::ranges::equal(bytes.subspan(i, sizeof(T)), first));
  }
  return result[0];
}

struct Pair16 {
  std::uint16_t left, right, sum;
};

TEST_CASE("float16 sums round to nearest even") {
  const Pair16 cases[] = {
      {0x6800, 0x3c00, 0x6800},  // 2048 + 1: a tie, down to 2048
      {0x6801, 0x3c00, 0x6802},  // 2050 + 1: a tie, up to 2052
      {0x6800, 0x3c01, 0x6801},  // 2048 + 1.001: above the tie
      {0x7bff, 0x4bff, 0x7bff},  // 65504 + 15.99: below the tie, stays finite
      {0x7bff, 0x4c00, 0x7c00},  // 65504 + 16: the tie goes to infinity
      {0xfbff, 0xcc00, 0xfc00},  // the same below zero
      {0x7bff, 0x7bff, 0x7c00},  // far beyond
      {0x0001, 0x0001, 0x0002},  // subnormals
      {0x03ff, 0x0001,
       0x0400},  // the largest subnormal and the smallest one: the smallest normal number
      {0x0400, 0x8001, 0x03ff},  // and back
      {0x8000, 0x8000, 0x8000},  // -0
      {0x8000, 0x0000, 0x0000},  // -0 + 0
      {0x3c00, 0xbc00, 0x0000},  // 1 - 1
      {0x7c00, 0xfc00, 0x7e00},  // infinity - infinity
      {0xfdab, 0x3c00, 0x7e00},  // a signalling NaN with sign and payload becomes the canonical one
  };
  for (const reduce::KernelTable* table : reduce::available_kernels()) {
    for (const Pair16& c : cases) {
      CAPTURE(table->name);
      CAPTURE(c.left);
      CAPTURE(c.right);
      CHECK(reduce_pair(*table, DType::kFloat16, ReduceOp::kSum, c.left, c.right) == c.sum);
    }
  }
}

TEST_CASE("bfloat16 sums round to nearest even") {
  const Pair16 cases[] = {
      {0x4380, 0x3f80, 0x4380},  // 256 + 1: a tie, down to 256
      {0x4381, 0x3f80, 0x4382},  // 258 + 1: a tie, up to 260
      {0x4380, 0x3f81, 0x4381},  // above the tie
      {0x7f7f, 0x7b00,
       0x7f80},  // the largest number and half its last digit: the tie goes to infinity
      {0x7f7f, 0x7aff, 0x7f7f},  // just below
      {0x0001, 0x0001, 0x0002},  // subnormals
      {0x007f, 0x0001, 0x0080},  // the largest subnormal and the smallest one
      {0x8000, 0x8000, 0x8000},  // -0
      {0x7f80, 0xff80, 0x7fc0},  // infinity - infinity
      {0xffff, 0x3f80, 0x7fc0},  // a NaN whose rounding would overflow into the sign
      {0x7f81, 0x3f80, 0x7fc0},  // a NaN whose payload would be cut off, leaving infinity
  };
  for (const reduce::KernelTable* table : reduce::available_kernels()) {
    for (const Pair16& c : cases) {
      CAPTURE(table->name);
      CAPTURE(c.left);
      CAPTURE(c.right);
      CHECK(reduce_pair(*table, DType::kBFloat16, ReduceOp::kSum, c.left, c.right) == c.sum);
    }
  }
}

/// All numbers of a 16-bit format plus one of each size.
void check_all_patterns(DType dtype, const test::SmallFloat& format) {
  std::vector<std::uint16_t> all(1 << 16);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint16_t>(i);
  for (std::uint32_t other = 0; other < 0x10000; other += 0x0b55) {  // 23 patterns, of both signs
    const auto right = static_cast<std::uint16_t>(other);
    for (const reduce::KernelTable* table : reduce::available_kernels()) {
      const auto sums =
          reduce_pairs(*table, dtype, ReduceOp::kSum, all, std::vector(all.size(), right));
      for (std::size_t i = 0; i < all.size(); ++i) {
        const auto exact = static_cast<float>(format.decode(all[i]) + format.decode(right));
        if (sums[i] == format.encode(exact)) continue;
        CAPTURE(table->name);
        CAPTURE(i);
        CAPTURE(right);
        REQUIRE(sums[i] == format.encode(exact));
      }
    }
  }
}

TEST_CASE("every float16 pattern") { check_all_patterns(DType::kFloat16, test::float16()); }
TEST_CASE("every bfloat16 pattern") { check_all_patterns(DType::kBFloat16, test::bfloat16()); }

TEST_CASE("16-bit floats are rounded once, at the end") {
  // 2048 + 1 + 1 + ... in float16: each single addition would be lost.
  const std::vector<std::uint16_t> big(20, 0x6800);
  const std::vector<std::uint16_t> one(20, 0x3c00);
  std::vector<const std::byte*> sources(17, reinterpret_cast<const std::byte*>(one.data()));
  sources[0] = reinterpret_cast<const std::byte*>(big.data());
  for (const reduce::KernelTable* table : reduce::available_kernels()) {
    std::vector<std::uint16_t> sum(20);
    std::byte* const target = reinterpret_cast<std::byte*>(sum.data());
    table->find(DType::kFloat16, ReduceOp::kSum)({sources.data(), 17, &target, 1, 20, 1});
    for (const std::uint16_t element : sum) REQUIRE(element == 0x6808);  // 2064
  }
  // The sum is beyond float16, the average is not.
  const std::uint16_t largest = 0x7bff;
  for (const reduce::KernelTable* table : reduce::available_kernels()) {
    CHECK(reduce_pair(*table, DType::kFloat16, ReduceOp::kSum, largest, largest, 2) == largest);
  }
}

TEST_CASE("sums follow the balanced tree") {
  // ((2^24 + 1) + (1 + 1)) in float32 is 2^24 + 2; from left to right it would stay 2^24.
  const std::vector<float> big(19, 0x1p24f);
  const std::vector<float> one(19, 1.0f);
  const auto* first = reinterpret_cast<const std::byte*>(big.data());
  const auto* other = reinterpret_cast<const std::byte*>(one.data());
  const std::byte* const sources[] = {first, other, other, other};
  for (const reduce::KernelTable* table : reduce::available_kernels()) {
    std::vector<float> sum(19);
    std::byte* const target = reinterpret_cast<std::byte*>(sum.data());
    table->find(DType::kFloat32, ReduceOp::kSum)({sources, 4, &target, 1, 19, 1});
    for (const float element : sum) REQUIRE(element == 0x1p24f + 2.0f);
  }
}

TEST_CASE("min and max of special values") {
  for (const reduce::KernelTable* table : reduce::available_kernels()) {
    CAPTURE(table->name);
    for (const ReduceOp op : {ReduceOp::kMin, ReduceOp::kMax}) {
      const auto pair = [&](float left, float right) {
        return reduce_pair(*table, DType::kFloat32, op, left, right);
      };
      CHECK(std::bit_cast<std::uint32_t>(pair(kNan, 1.0f)) == kNanBits);
      CHECK(std::bit_cast<std::uint32_t>(pair(1.0f, kNan)) == kNanBits);
      CHECK(std::bit_cast<std::uint32_t>(pair(-kNan, kInfinity)) == kNanBits);
      CHECK(std::bit_cast<std::uint32_t>(pair(-kInfinity, kNan)) == kNanBits);
      CHECK(pair(-kInfinity, kInfinity) == (op == ReduceOp::kMin ? -kInfinity : kInfinity));
      CHECK(std::signbit(pair(-0.0f, 0.0f)));
      CHECK_FALSE(std::signbit(pair(0.0f, -0.0f)));
    }
    CHECK(std::isnan(
        reduce_pair<double>(*table, DType::kFloat64, ReduceOp::kMin, std::nan(""), 1.0)));
    CHECK(std::isnan(
        reduce_pair<double>(*table, DType::kFloat64, ReduceOp::kMax, 1.0, std::nan(""))));
  }
}

TEST_CASE("subnormal floats are kept") {
  const float tiny = std::numeric_limits<float>::denorm_min();
  for (const reduce::KernelTable* table : reduce::available_kernels()) {
    CHECK(reduce_pair(*table, DType::kFloat32, ReduceOp::kSum, tiny, tiny) == 2 * tiny);
    CHECK(reduce_pair(*table, DType::kFloat32, ReduceOp::kMax, tiny, 0.0f) == tiny);
    CHECK(reduce_pair(*table, DType::kFloat32, ReduceOp::kSum, 3 * tiny, 3 * tiny, 2) == 3 * tiny);
  }
}

TEST_CASE("integers wrap around and divide towards zero") {
  using I8 = std::numeric_limits<std::int8_t>;
  using I64 = std::numeric_limits<std::int64_t>;
  using U64 = std::numeric_limits<std::uint64_t>;
  for (const reduce::KernelTable* table : reduce::available_kernels()) {
    CAPTURE(table->name);
    const auto sum = [&]<class T>(DType dtype, T left, T right, int divisor = 1) {
      return reduce_pair<T>(*table, dtype, ReduceOp::kSum, left, right, divisor);
    };
    CHECK(sum.operator()<std::int8_t>(DType::kInt8, I8::max(), 1) == I8::min());
    CHECK(sum.operator()<std::int64_t>(DType::kInt64, I64::max(), 1) == I64::min());
    CHECK(sum.operator()<std::uint64_t>(DType::kUint64, U64::max(), 2) == 1);
    CHECK(reduce_pair<std::int64_t>(*table, DType::kInt64, ReduceOp::kProduct, I64::min(), -1) ==
          I64::min());
    CHECK(sum.operator()<std::int32_t>(DType::kInt32, -5, -2, 2) == -3);
    CHECK(sum.operator()<std::int8_t>(DType::kInt8, -100, 0, 200) ==
          0);  // a divisor beyond the type
    CHECK(sum.operator()<std::uint8_t>(DType::kUint8, 250, 0, 200) == 1);
    CHECK(sum.operator()<std::uint64_t>(DType::kUint64, U64::max(), 0, 2) == U64::max() / 2);
    CHECK(sum.operator()<std::int64_t>(DType::kInt64, I64::min(), 0, 2) == I64::min() / 2);
    CHECK(reduce_pair<std::uint8_t>(*table, DType::kUint8, ReduceOp::kMax, 200, 100) == 200);
    CHECK(reduce_pair<std::int8_t>(*table, DType::kInt8, ReduceOp::kMax, -56, 100) == 100);
  }
}

TEST_CASE("bools of any byte value become 0 or 1") {
  for (const reduce::KernelTable* table : reduce::available_kernels()) {
    const auto pair = [&](ReduceOp op, std::uint8_t left, std::uint8_t right) {
      return reduce_pair(*table, DType::kBool, op, left, right);
    };
    for (const ReduceOp op : {ReduceOp::kSum, ReduceOp::kMax, ReduceOp::kOr}) {
      CHECK(pair(op, 2, 4) == 1);
      CHECK(pair(op, 0, 255) == 1);
      CHECK(pair(op, 0, 0) == 0);
    }
    for (const ReduceOp op : {ReduceOp::kProduct, ReduceOp::kMin, ReduceOp::kAnd}) {
      CHECK(pair(op, 2, 4) == 1);
      CHECK(pair(op, 0, 255) == 0);
    }
    CHECK(pair(ReduceOp::kXor, 2, 4) == 0);
    CHECK(pair(ReduceOp::kXor, 0, 4) == 1);
  }
}

}  // namespace
}  // namespace smddp
