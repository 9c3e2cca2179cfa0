#include "reduce/small_float.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace smddp::test {

SmallFloat::SmallFloat(int exponent_bits, int mantissa_bits) {
  const int per_exponent = 1 << mantissa_bits;
  const int infinity_exponent = (1 << exponent_bits) - 1;
  const int bias = infinity_exponent / 2;
  for (int exponent = 0; exponent < infinity_exponent; ++exponent) {
    for (int mantissa = 0; mantissa < per_exponent; ++mantissa) {
      const int whole = exponent == 0 ? mantissa : per_exponent + mantissa;
      numbers_.push_back(std::ldexp(whole, std::max(exponent, 1) - bias - mantissa_bits));
    }
  }
  // Were the format wider, the next number would be this one: infinity starts half way to it.
  const double next = std::ldexp(1.0, infinity_exponent - bias);
  overflow_ = (numbers_.back() + next) / 2;
  numbers_.push_back(std::numeric_limits<double>::infinity());
  quiet_nan_ = static_cast<std::uint16_t>(infinity_exponent * per_exponent + per_exponent / 2);
}

double SmallFloat::decode(std::uint16_t bits) const {
  const std::size_t index = bits & 0x7fff;
  const double magnitude =
      index < numbers_.size() ? numbers_[index] : std::numeric_limits<double>::quiet_NaN();
  return bits & 0x8000 ? -magnitude : magnitude;
}

std::uint16_t SmallFloat::encode(double value) const {
  if (std::isnan(value)) return quiet_nan_;
  const double magnitude = std::fabs(value);
  const auto above = std::lower_bound(numbers_.begin(), numbers_.end(), magnitude);
  auto index = static_cast<std::size_t>(above - numbers_.begin());
  if (magnitude >= overflow_) {
    index = numbers_.size() - 1;
  } else if (*above != magnitude) {
    // Both gaps are exact in double; at the top the upper neighbour is infinity and never nearer.
    const double below_gap = magnitude - numbers_[index - 1];
    const double above_gap = numbers_[index] - magnitude;
    if (below_gap < above_gap || (below_gap == above_gap && (index - 1) % 2 == 0)) --index;
  }
  return static_cast<std::uint16_t>(index | (std::signbit(value) ? 0x8000u : 0u));
}

const SmallFloat& float16() {
  static const SmallFloat format(5, 10);
  return format;
}

const SmallFloat& bfloat16() {
  static const SmallFloat format(8, 7);
  return format;
}

}  // namespace smddp::test
