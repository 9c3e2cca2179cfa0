#pragma once

// float16 and bfloat16 to and from float32, rounding to nearest even; every NaN becomes the
// positive quiet one. Only integer arithmetic and exact float additions are used, so the results do
// not depend on the machine.

#include "reduce/pack.h"

namespace smddp::reduce {
namespace {  // NOLINT(google-build-namespaces): see pack.h

inline constexpr std::uint32_t kFloatSign = 0x8000'0000;
inline constexpr std::uint32_t kFloatNan = 0x7fc0'0000;

/// Bits of the float32 2^exponent, for a normal number.
constexpr std::uint32_t power_of_two_bits(int exponent) {
  return static_cast<std::uint32_t>(exponent + 127) << 23;
}

/// Which operand's NaN an addition hands on is up to the compiler's order of operands; one fixed
/// NaN is not.
template <class P>
[[gnu::always_inline]] inline P with_canonical_nan(P value) {
  using Lane = LaneOf<P>;
  constexpr Lane kNan = sizeof(Lane) == 4 ? static_cast<Lane>(__builtin_nanf(""))
                                          : static_cast<Lane>(__builtin_nan(""));
  return value == value ? value : P{} + kNan;
}

// Below, 16-bit floats are the low halves of 32-bit lanes.

template <class P>
[[gnu::always_inline]] inline auto float_from_bfloat16(P bits) {
  return bits_as<float>(bits << 16);
}

template <class P>
[[gnu::always_inline]] inline auto bfloat16_from_float(P value) {
  auto bits = bits_as<std::uint32_t>(value);
  auto odd = (bits >> 16) & 1;  // the last bit that stays; when it is set, a tie must carry
  auto rounded = bits + 0x7fff + odd;
  return (value == value ? rounded : decltype(bits){} + kFloatNan) >> 16;
}

template <class P>
[[gnu::always_inline]] inline auto float_from_half(P bits) {
  constexpr std::uint32_t kExponentMask = 0x7c00u << 13;
  constexpr std::uint32_t kRebias = (127 - 15) << 23;
  auto magnitude = (bits & 0x7fff) << 13;
  auto exponent = magnitude & kExponentMask;
  auto normal = magnitude + kRebias;
  auto infinity_or_nan = normal + kRebias;
  // A subnormal m stands for m * 2^-24. Below the leading one of 2^-14 its bits have that weight;
  // taking the leading one away again is exact.
  auto leading_one = P{} + power_of_two_bits(-14);
  auto subnormal =
      bits_as<std::uint32_t>(bits_as<float>(magnitude | leading_one) - bits_as<float>(leading_one));
  auto result = exponent == kExponentMask ? infinity_or_nan : exponent == 0 ? subnormal : normal;
  return bits_as<float>(result | (bits & 0x8000) << 16);
}

template <class P>
[[gnu::always_inline]] inline auto half_from_float(P value) {
  constexpr std::uint32_t kHalfNan = 0x7e00;
  constexpr std::uint32_t kHalfInfinity = 0x7c00;
  auto bits = bits_as<std::uint32_t>(value);
  auto splat = [](std::uint32_t lane) { return decltype(bits){} + lane; };
  auto sign = bits & kFloatSign;
  auto magnitude = bits ^ sign;
  // The last bit of a float32 in [0.5, 1) is worth 2^-24, as in a subnormal half: adding rounds.
  auto one_half = splat(power_of_two_bits(-1));
  auto subnormal =
      bits_as<std::uint32_t>(bits_as<float>(magnitude) + bits_as<float>(one_half)) - one_half;
  auto odd = (magnitude >> 13) & 1;
  auto normal = (magnitude - ((127 - 15) << 23) + 0xfff + odd) >> 13;
  // Between the largest half and 2^16 the rounding carries into infinity by itself.
  auto finite = magnitude < power_of_two_bits(-14) ? subnormal : normal;
  auto number = magnitude < power_of_two_bits(16) ? finite : splat(kHalfInfinity);
  return value == value ? number | sign >> 16 : splat(kHalfNan);
}

/// What an instruction set's description needs for 16-bit floats, for any number of lanes; it may
/// hide these functions by better ones for its own number of lanes.
struct PortableConversions {
  template <class P>
  [[gnu::always_inline]] static auto widen(P bits) {
    return lanes_as<std::uint32_t>(bits);
  }
  template <class P>
  [[gnu::always_inline]] static auto narrow(P bits) {
    return lanes_as<std::uint16_t>(bits);
  }
  template <class P>
  [[gnu::always_inline]] static auto float_from_half(P half) {
    return reduce::float_from_half(widen(half));
  }
  template <class P>
  [[gnu::always_inline]] static auto half_from_float(P value) {
    return narrow(reduce::half_from_float(value));
  }
};

}  // namespace
}  // namespace smddp::reduce
