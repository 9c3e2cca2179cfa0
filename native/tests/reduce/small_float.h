#pragma once

#include <cstdint>
#include <vector>

namespace smddp::test {

/// A 16-bit floating-point format as a list of its numbers. Slow and simple: shares no method with
/// the kernels.
class SmallFloat {
 public:
  SmallFloat(int exponent_bits, int mantissa_bits);

  double decode(std::uint16_t bits) const;
  /// The nearest number, ties to the even pattern; a NaN becomes the positive quiet one.
  std::uint16_t encode(double value) const;

 private:
  std::vector<double>
      numbers_;      // positive, ascending; the index is the bit pattern, the last one is infinity
  double overflow_;  // from here on the nearest number is infinity
  std::uint16_t quiet_nan_;
};

const SmallFloat& float16();
const SmallFloat& bfloat16();

}  // namespace smddp::test
