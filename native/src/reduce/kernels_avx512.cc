#include <immintrin.h>

#include "reduce/kernels.h"
#include "reduce/table.h"

namespace smddp::reduce {
namespace {

/// AVX-512 F, BW, VL and DQ, and F16C for single elements.
struct Avx512 : PortableConversions {
  using Half = Pack<std::uint16_t, 16>;
  using Word = Pack<std::uint32_t, 16>;
  using Float = Pack<float, 16>;
  static constexpr std::size_t kVectorBytes = sizeof(Float);
  static constexpr int kNearestEven = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  // GCC 12 warns about its own unmasked intrinsics (an undefined operand). With all lanes on the
  // code is the same.
  static constexpr __mmask16 kAllLanes = 0xffff;

  using PortableConversions::narrow;
  using PortableConversions::widen;
  [[gnu::always_inline]] static Word widen(Half bits) {
    return (Word)_mm512_maskz_cvtepu16_epi32(kAllLanes, (__m256i)bits);
  }
  [[gnu::always_inline]] static Half narrow(Word bits) {
    return (Half)_mm512_maskz_cvtepi32_epi16(kAllLanes, (__m512i)bits);
  }

  [[gnu::always_inline]] static Float float_from_half(Half half) {
    return _mm512_maskz_cvtph_ps(kAllLanes, (__m256i)half);
  }
  [[gnu::always_inline]] static Half half_from_float(Float value) {
    return (Half)_mm512_maskz_cvtps_ph(kAllLanes, with_canonical_nan(value), kNearestEven);
  }
  [[gnu::always_inline]] static Pack<float, 1> float_from_half(Pack<std::uint16_t, 1> half) {
    return Pack<float, 1>{_cvtsh_ss(half[0])};
  }
  [[gnu::always_inline]] static Pack<std::uint16_t, 1> half_from_float(Pack<float, 1> value) {
    return Pack<std::uint16_t, 1>{_cvtss_sh(with_canonical_nan(value)[0], kNearestEven)};
  }
};

}  // namespace

constinit const KernelTable kAvx512Kernels = TableBuilder<Avx512>::build("avx512");

}  // namespace smddp::reduce
