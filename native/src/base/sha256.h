#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace smddp {

/// SHA-256 (FIPS 180-4) over bytes given in any pieces.
class Sha256 {
 public:
  static constexpr std::size_t kDigestBytes = 32;
  static constexpr std::size_t kBlockBytes = 64;

  void update(std::string_view bytes);
  /// The 32-byte digest of everything so far. The object is used up afterwards.
  std::string finish();

 private:
  void compress(const unsigned char* block);

  std::array<std::uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<unsigned char, kBlockBytes> block_{};
  std::size_t in_block_ = 0;
  std::uint64_t total_bytes_ = 0;
};

std::string sha256(std::string_view bytes);
/// HMAC-SHA256 (RFC 2104).
std::string hmac_sha256(std::string_view key, std::string_view message);
/// Compares in a time that depends on the lengths alone.
bool equal_in_constant_time(std::string_view a, std::string_view b);

}  // namespace smddp
