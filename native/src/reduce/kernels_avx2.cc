#include <immintrin.h>

#include "reduce/kernels.h"
#include "reduce/table.h"

namespace smddp::reduce {
namespace {

/// AVX2 and F16C.
struct Avx2 : PortableConversions {
  using Half = Pack<std::uint16_t, 8>;
  using Word = Pack<std::uint32_t, 8>;
  using Float = Pack<float, 8>;
  static constexpr std::size_t kVectorBytes = sizeof(Float);
  static constexpr int kNearestEven = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;

  using PortableConversions::narrow;
  using PortableConversions::widen;
  [[gnu::always_inline]] static Word widen(Half bits) {
    return (Word)_mm256_cvtepu16_epi32((__m128i)bits);
  }
  [[gnu::always_inline]] static Half narrow(Word bits) {
    const auto low = _mm256_castsi256_si128((__m256i)bits);
    const auto high = _mm256_extracti128_si256((__m256i)bits, 1);
    return (Half)_mm_packus_epi32(low, high);  // no lane exceeds 16 bits: nothing saturates
  }

  [[gnu::always_inline]] static Float float_from_half(Half half) {
    return _mm256_cvtph_ps((__m128i)half);
  }
  [[gnu::always_inline]] static Half half_from_float(Float value) {
    return (Half)_mm256_cvtps_ph(with_canonical_nan(value), kNearestEven);
  }
  [[gnu::always_inline]] static Pack<float, 1> float_from_half(Pack<std::uint16_t, 1> half) {
    return Pack<float, 1>{_cvtsh_ss(half[0])};
  }
  [[gnu::always_inline]] static Pack<std::uint16_t, 1> half_from_float(Pack<float, 1> value) {
    return Pack<std::uint16_t, 1>{_cvtss_sh(with_canonical_nan(value)[0], kNearestEven)};
  }
};

}  // namespace

constinit const KernelTable kAvx2Kernels = TableBuilder<Avx2>::build("avx2");

}  // namespace smddp::reduce
