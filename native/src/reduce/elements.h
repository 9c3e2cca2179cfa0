#pragma once

// How elements lie in memory and in which type they are computed with.
//
// An element type has `Stored` and `Computed` lanes, load() from memory into a pack of `Computed`,
// and as_stored() from that into the pack that memory holds. `Isa` describes the instruction set:
// kVectorBytes, and the functions of PortableConversions.

#include "reduce/convert.h"
#include "reduce/pack.h"

namespace smddp::reduce {
namespace {  // NOLINT(google-build-namespaces): see pack.h

/// Computed with as it is stored. A NaN result is the canonical one.
template <class T>
struct Plain {
  using Stored = T;
  using Computed = T;

  template <class Isa, std::size_t kLanes>
  [[gnu::always_inline]] static Pack<T, kLanes> load(const std::byte* from) {
    return load_pack<Pack<T, kLanes>>(from);
  }

  template <class Isa, class P>
  [[gnu::always_inline]] static P as_stored(P value) {
    if constexpr (std::is_floating_point_v<T>) {
      return with_canonical_nan(value);
    } else {
      return value;
    }
  }
};

/// One byte; any value but 0 is true, and only 0 and 1 are written.
struct Bool : Plain<std::uint8_t> {
  template <class Isa, std::size_t kLanes>
  [[gnu::always_inline]] static Pack<std::uint8_t, kLanes> load(const std::byte* from) {
    return bits_as<std::uint8_t>(load_pack<Pack<std::uint8_t, kLanes>>(from) != 0) & 1;
  }
};

struct BFloat16 {
  using Stored = std::uint16_t;
  using Computed = float;

  template <class Isa, std::size_t kLanes>
  [[gnu::always_inline]] static Pack<float, kLanes> load(const std::byte* from) {
    return float_from_bfloat16(Isa::widen(load_pack<Pack<std::uint16_t, kLanes>>(from)));
  }

  template <class Isa, class P>
  [[gnu::always_inline]] static auto as_stored(P value) {
    return Isa::narrow(bfloat16_from_float(value));
  }
};

struct Float16 {
  using Stored = std::uint16_t;
  using Computed = float;

  template <class Isa, std::size_t kLanes>
  [[gnu::always_inline]] static Pack<float, kLanes> load(const std::byte* from) {
    return Isa::float_from_half(load_pack<Pack<std::uint16_t, kLanes>>(from));
  }

  template <class Isa, class P>
  [[gnu::always_inline]] static auto as_stored(P value) {
    return Isa::half_from_float(value);
  }
};

}  // namespace
}  // namespace smddp::reduce
