// What CUDA C++ has beyond C++, as far as our kernels use it, for the processor: include it before
// a kernel's source. Threads run one after the other, so what all wait for has to be made by the
// first thread of a block.
#pragma once

#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "reduce/convert.h"

#define __device__
#define __global__
#define __grid_constant__
#define __launch_bounds__(...)
#define __shared__ static thread_local

struct FakeDim {
  unsigned x;
};
inline thread_local FakeDim gridDim;
inline thread_local FakeDim blockDim;
inline thread_local FakeDim blockIdx;
inline thread_local FakeDim threadIdx;

inline void __syncthreads() {}
inline void __threadfence_system() {}  // load_fresh keeps its order

namespace smddp::cuda {

inline int threads_side_by_side() { return 1; }
template <class T>
T load_fresh(const T* from) {
  return std::atomic_ref{*const_cast<T*>(from)}.load();
}
template <class T>
void store_fresh(T* to, T value) {
  std::atomic_ref{*to}.store(value);
}

}  // namespace smddp::cuda

inline float __uint_as_float(std::uint32_t bits) { return std::bit_cast<float>(bits); }

// ---- 16-bit floats ----

struct __half {
  std::uint16_t bits;
};
struct __nv_bfloat16 {
  std::uint16_t bits;
};

using FakeWord = smddp::reduce::Pack<std::uint32_t, 1>;
using FakeFloat = smddp::reduce::Pack<float, 1>;

inline __half __ushort_as_half(std::uint16_t bits) { return {bits}; }
inline std::uint16_t __half_as_ushort(__half value) { return value.bits; }
inline float __half2float(__half value) {
  return smddp::reduce::float_from_half(FakeWord{value.bits})[0];
}
inline __half __float2half_rn(float value) {
  const auto bits = smddp::reduce::half_from_float(FakeFloat{value});
  return {static_cast<std::uint16_t>(bits[0])};
}
inline std::uint16_t __bfloat16_as_ushort(__nv_bfloat16 value) { return value.bits; }
inline __nv_bfloat16 __float2bfloat16_rn(float value) {
  const auto bits = smddp::reduce::bfloat16_from_float(FakeFloat{value});
  return {static_cast<std::uint16_t>(bits[0])};
}

// ---- 8-bit floats ----

enum __nv_fp8_interpretation_t { __NV_E4M3, __NV_E5M2 };
enum __nv_saturation_t { __NV_NOSAT, __NV_SATFINITE };
struct __half_raw {
  std::uint16_t x;
};

inline float fake_float_from_fp8(std::uint8_t bits, __nv_fp8_interpretation_t kind) {
  const int mantissa_bits = kind == __NV_E4M3 ? 3 : 2;
  const int bias = kind == __NV_E4M3 ? 7 : 15;
  const int exponent = (bits & 0x7f) >> mantissa_bits;
  const int mantissa = bits & ((1 << mantissa_bits) - 1);
  float value = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), 1 - bias - mantissa_bits)
                              : std::ldexp(static_cast<float>(mantissa + (1 << mantissa_bits)),
                                           exponent - bias - mantissa_bits);
  if (kind == __NV_E4M3 && (bits & 0x7f) == 0x7f) value = NAN;
  if (kind == __NV_E5M2 && exponent == 31) value = mantissa == 0 ? INFINITY : NAN;
  return (bits & 0x80) != 0 ? -value : value;
}

inline __half_raw __nv_cvt_fp8_to_halfraw(std::uint8_t bits, __nv_fp8_interpretation_t kind) {
  return {__half_as_ushort(__float2half_rn(fake_float_from_fp8(bits, kind)))};
}

/// The nearest of all, the even one of two; the largest number where there is none.
inline std::uint8_t __nv_cvt_float_to_fp8(float value, __nv_saturation_t,
                                          __nv_fp8_interpretation_t kind) {
  if (std::isnan(value)) return 0x7f;
  const int largest = kind == __NV_E4M3 ? 0x7e : 0x7b;
  const float magnitude = std::fabs(value);
  int nearest = 0;
  float distance = INFINITY;
  for (int bits = 0; bits <= largest; ++bits) {
    const float away =
        std::fabs(fake_float_from_fp8(static_cast<std::uint8_t>(bits), kind) - magnitude);
    if (away < distance || (away == distance && bits % 2 == 0)) {
      nearest = bits;
      distance = away;
    }
  }
  if (std::isinf(magnitude)) nearest = largest;
  return static_cast<std::uint8_t>(nearest | (std::signbit(value) ? 0x80 : 0));
}
