#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/signature.h"

namespace smddp {

enum class FrameKind : std::uint32_t { kData = 1, kNotice = 2 };

/// Goes in front of each message on a stream, little endian. The last byte of `magic` is
/// the version.
struct FrameHeader {
  static constexpr std::uint32_t kMagic = 0x444d5301;

  std::uint32_t magic = kMagic;
  FrameKind kind = FrameKind::kData;
  std::uint64_t tag = 0;
  std::uint64_t bytes = 0;  ///< of payload that follows
  Envelope envelope{};
  std::uint64_t reserved = 0;
};
static_assert(sizeof(FrameHeader) == 64 && std::is_trivially_copyable_v<FrameHeader>);
static_assert(std::endian::native == std::endian::little, "headers are sent as they lie in memory");

}  // namespace smddp
