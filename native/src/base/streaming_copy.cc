#include "base/streaming_copy.h"

#include <algorithm>
#include <cstdint>

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace smddp {

void streaming_copy(std::byte* target, const std::byte* source, std::size_t bytes) noexcept {
  if (bytes == 0) return;  // an empty array may have no address
#if defined(__x86_64__)
  constexpr std::size_t kLine = 64;
  const std::size_t head =
      std::min(bytes, (kLine - reinterpret_cast<std::uintptr_t>(target) % kLine) % kLine);
  std::memcpy(target, source, head);
  const std::size_t whole = (bytes - head) / kLine * kLine;
  for (std::size_t at = head; at < head + whole; at += kLine) {
    const auto* const from = reinterpret_cast<const __m128i*>(source + at);
    auto* const to = reinterpret_cast<__m128i*>(target + at);
    for (std::size_t k = 0; k < kLine / sizeof(__m128i); ++k)
      _mm_stream_si128(to + k, _mm_loadu_si128(from + k));
  }
  const std::size_t done = head + whole;
  std::memcpy(target + done, source + done, bytes - done);
  // Such stores are not ordered with others: without this a flag could be seen before them.
  _mm_sfence();
#else
  std::memcpy(target, source, bytes);
#endif
}

}  // namespace smddp
