#pragma once

// The operations, on packs of any lane type.

#include "reduce/pack.h"

namespace smddp::reduce {
namespace {  // NOLINT(google-build-namespaces): see pack.h

/// Integers as unsigned lanes, whose overflow is defined to wrap around; floats as they are.
template <class P>
[[gnu::always_inline]] inline auto wrapping(P value) {
  if constexpr (std::is_integral_v<LaneOf<P>>) {
    return bits_as<std::make_unsigned_t<LaneOf<P>>>(value);
  } else {
    return value;
  }
}

/// An operation whose result is never divided.
struct Whole {
  static constexpr bool kDividable = false;
};

struct Sum {
  static constexpr bool kDividable = true;

  template <class P>
  [[gnu::always_inline]] static P apply(P left, P right) {
    return bits_as<LaneOf<P>>(wrapping(left) + wrapping(right));
  }
};

struct Product : Whole {
  template <class P>
  [[gnu::always_inline]] static P apply(P left, P right) {
    return bits_as<LaneOf<P>>(wrapping(left) * wrapping(right));
  }
};

/// The left one of equal values (zeros of either sign); a NaN on either side wins.
struct Min : Whole {
  template <class P>
  [[gnu::always_inline]] static P apply(P left, P right) {
    auto smaller = right < left ? right : left;  // left if either is a NaN
    return right == right ? smaller : right;
  }
};

struct Max : Whole {
  template <class P>
  [[gnu::always_inline]] static P apply(P left, P right) {
    auto larger = right > left ? right : left;  // left if either is a NaN
    return right == right ? larger : right;
  }
};

struct And : Whole {
  template <class P>
  [[gnu::always_inline]] static P apply(P left, P right) {
    return left & right;
  }
};

struct Or : Whole {
  template <class P>
  [[gnu::always_inline]] static P apply(P left, P right) {
    return left | right;
  }
};

struct Xor : Whole {
  template <class P>
  [[gnu::always_inline]] static P apply(P left, P right) {
    return left ^ right;
  }
};

/// `divisor` > 0. Integers truncate towards zero.
template <class P>
[[gnu::always_inline]] inline P divided(P value, int divisor) {
  using Lane = LaneOf<P>;
  if constexpr (std::is_integral_v<Lane>) {
    // The divisor may not fit into a narrow lane.
    using Wide = decltype(Lane{} / 1);
    using Divisor = std::conditional_t<std::is_unsigned_v<Lane> && sizeof(Lane) >= 4, Lane, Wide>;
    for (std::size_t lane = 0; lane < kLanesOf<P>; ++lane) {
      value[lane] =
          static_cast<Lane>(static_cast<Divisor>(value[lane]) / static_cast<Divisor>(divisor));
    }
    return value;
  } else {
    return value / static_cast<Lane>(divisor);
  }
}

// What becomes of a result before it is stored.

struct AsItIs {
  template <class P>
  [[gnu::always_inline]] P operator()(P value) const {
    return value;
  }
};

struct Divided {
  int divisor;
  template <class P>
  [[gnu::always_inline]] P operator()(P value) const {
    return divided(value, divisor);
  }
};

/// A float divided by a power of two: the product with its reciprocal is the same real number, and
/// so the same bits, at a tenth of the time.
struct Scaled {
  double reciprocal;
  template <class P>
  [[gnu::always_inline]] P operator()(P value) const {
    return value * static_cast<LaneOf<P>>(reciprocal);
  }
};

constexpr bool is_power_of_two(int number) { return (number & (number - 1)) == 0; }

}  // namespace
}  // namespace smddp::reduce
