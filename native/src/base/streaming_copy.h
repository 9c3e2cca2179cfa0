#pragma once

#include <cstddef>
#include <cstring>

namespace smddp {

/// Copies with stores that bypass the cache, so that lines which nobody will read soon are not
/// fetched before they are overwritten. Any alignment; an ordinary copy on processors without such
/// stores.
void streaming_copy(std::byte* target, const std::byte* source, std::size_t bytes) noexcept;

/// Chooses for a part of a result of `whole` bytes: a result as large as this is out of the caches
/// anyway before anybody reads its beginning.
inline void copy_of_whole(std::byte* target, const std::byte* source, std::size_t bytes,
                          std::size_t whole) noexcept {
  constexpr std::size_t kStreamed = std::size_t{4} << 20;
  if (whole >= kStreamed) {
    streaming_copy(target, source, bytes);
  } else if (bytes > 0) {  // an empty array may have no address
    std::memcpy(target, source, bytes);
  }
}

}  // namespace smddp
