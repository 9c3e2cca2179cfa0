#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace smddp {

/// Goes in front of each chunk of a stream on a rail, little endian. The last byte of `magic` is
/// the version.
struct ChunkHeader {
  static constexpr std::uint32_t kMagic = 0x52445301;

  std::uint32_t magic = kMagic;
  std::uint32_t bytes = 0;   ///< that follow; none: this only carries what is below
  std::uint64_t offset = 0;  ///< of the first of them in the stream
  std::uint64_t taken = 0;   ///< how far the sender has read the stream of the other direction
  std::uint32_t lost = 0;    ///< bit i: the sender has given up rail i
  std::uint32_t reserved = 0;
};
static_assert(sizeof(ChunkHeader) == 32 && std::is_trivially_copyable_v<ChunkHeader>);
static_assert(std::endian::native == std::endian::little, "headers are sent as they lie in memory");

/// A sender goes no further ahead of what the receiver has read: the most that either keeps.
inline constexpr std::size_t kStreamWindow = std::size_t{4} << 20;

}  // namespace smddp
