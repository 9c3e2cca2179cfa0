#include "reduce/samples.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <limits>
#include <string>

#include "reduce/small_float.h"

namespace smddp::test {
namespace {

double special_float(std::uint64_t choice) {
  using Limits = std::numeric_limits<double>;
  switch (choice % 6) {
    case 0:
      return Limits::infinity();
    case 1:
      return -Limits::infinity();
    case 2:
      return 0.0;
    case 3:
      return -0.0;
    case 4:
      return Limits::quiet_NaN();
    default:
      return -Limits::quiet_NaN();
  }
}

/// One of 64 elements may hold special values, so that most results are numbers whatever the number
/// of sources.
double random_float(DType dtype, std::size_t element, std::mt19937_64& random) {
  const std::uint64_t word = random();
  const double unit = static_cast<double>(word >> 11) * 0x1p-52 - 1.0;
  if (element % 64 == 5 && word % 4 == 0) return special_float(word >> 2);
  if (element % 2 == 0) return unit;                        // near each other: sums round
  if (element % 4 == 1) return std::nearbyint(unit * 300);  // ties
  // Anything from the smallest subnormal to beyond the largest number.
  const int range = dtype == DType::kFloat64 ? 1080 : dtype == DType::kFloat16 ? 26 : 150;
  const int shift = dtype == DType::kFloat16 ? -4 : 0;
  return std::ldexp(
      unit, static_cast<int>(random() % (2 * static_cast<unsigned>(range))) - range + shift);
}

void write_random(DType dtype, std::byte* to, std::size_t element, std::mt19937_64& random) {
  std::uint64_t bits = random();
  if (dtype == DType::kBool) bits = bits & 0x100 ? bits : 0;
  if (dtype == DType::kFloat16) bits = float16().encode(random_float(dtype, element, random));
  if (dtype == DType::kBFloat16) bits = bfloat16().encode(random_float(dtype, element, random));
  if (dtype == DType::kFloat64) {
    const double value = random_float(dtype, element, random);
    std::memcpy(&bits, &value, sizeof(value));
  }
  if (dtype == DType::kFloat32) {
    const float value = static_cast<float>(random_float(dtype, element, random));
    std::memcpy(&bits, &value, sizeof(value));
  }
  std::memcpy(to, &bits, size_of(dtype));
}

}  // namespace

std::vector<Bytes> random_sources(DType dtype, std::size_t source_count, std::size_t count,
                                  std::mt19937_64& random) {
  const std::size_t size = size_of(dtype);
  std::vector<Bytes> sources(source_count, Bytes(count * size));
  for (Bytes& source : sources) {
    for (std::size_t i = 0; i < count; ++i) write_random(dtype, &source[i * size], i, random);
  }
  return sources;
}

std::uint64_t test_seed() {
  const char* given = std::getenv("SMDDP_TEST_SEED");
  const std::uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
  std::cout << "seed " << seed << " (repeat with SMDDP_TEST_SEED=" << seed << ")\n";
  return seed;
}

}  // namespace smddp::test
