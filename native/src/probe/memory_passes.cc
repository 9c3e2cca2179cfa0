#include <cstdint>
#include <cstring>

#include "smddp/probe.h"

#include "reduce/reduce.h"

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace smddp {

// One source and no division: the reduction kernels load, look for NaNs and store.
void pass_in_place(void* buffer, std::size_t bytes) {
  auto* memory = static_cast<std::byte*>(buffer);
  const std::byte* const source = memory;
  reduce_sources(DType::kFloat32, ReduceOp::kSum, 1, {&source, 1}, memory, bytes / sizeof(float));
}

void copy_non_temporal(void* target, const void* source, std::size_t bytes) {
#if defined(__x86_64__)
  auto* to = static_cast<__m128i*>(target);
  const auto* from = static_cast<const __m128i*>(source);
  constexpr std::size_t kLine = 4;  // vectors
  for (std::size_t i = 0; i < bytes / sizeof(__m128i); i += kLine) {
    for (std::size_t k = 0; k < kLine; ++k)
      _mm_stream_si128(to + i + k, _mm_load_si128(from + i + k));
  }
  _mm_sfence();
#else
  std::memcpy(target, source, bytes);
#endif
}

}  // namespace smddp
