#pragma once

// How elements lie in memory and in which type they are computed with. The bits of results are
// those that host memory gets (native/src/reduce): 16-bit and 8-bit floats are computed with as
// float32 and rounded to nearest even once, integers wrap around, and a NaN is the canonical one.

#include <cstdint>
#include <type_traits>

namespace smddp::cuda {

template <class T>
struct Plain {
  using Stored = T;
  using Computed = T;

  static __device__ T load(T stored) { return stored; }
  static __device__ T store(T value) {
    if constexpr (std::is_floating_point_v<T>) {
      return value == value ? value : static_cast<T>(NAN);
    } else {
      return value;
    }
  }
};

/// One byte; any value but 0 is true, and only 0 and 1 are written.
struct Bool : Plain<std::uint8_t> {
  static __device__ std::uint8_t load(std::uint8_t stored) { return stored != 0 ? 1 : 0; }
};

struct Float16 {
  using Stored = std::uint16_t;
  using Computed = float;

  static __device__ float load(Stored stored) { return __half2float(__ushort_as_half(stored)); }
  static __device__ Stored store(float value) {
    return value == value ? __half_as_ushort(__float2half_rn(value)) : Stored{0x7e00};
  }
};

struct BFloat16 {
  using Stored = std::uint16_t;
  using Computed = float;

  static __device__ float load(Stored stored) {
    return __uint_as_float(static_cast<std::uint32_t>(stored) << 16);
  }
  static __device__ Stored store(float value) {
    return value == value ? __bfloat16_as_ushort(__float2bfloat16_rn(value)) : Stored{0x7fc0};
  }
};

/// Sums beyond the largest number become that number, as NCCL's do.
template <__nv_fp8_interpretation_t kKind>
struct Float8 {
  using Stored = std::uint8_t;
  using Computed = float;

  static __device__ float load(Stored stored) {
    return __half2float(__ushort_as_half(__nv_cvt_fp8_to_halfraw(stored, kKind).x));
  }
  static __device__ Stored store(float value) {
    return __nv_cvt_float_to_fp8(value, __NV_SATFINITE, kKind);
  }
};

}  // namespace smddp::cuda
