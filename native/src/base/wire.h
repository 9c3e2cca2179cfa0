#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace smddp {

/// Appends little-endian numbers and length-prefixed strings.
class WireWriter {
 public:
  WireWriter& u8(std::uint8_t value) { return integer(value, 1); }
  WireWriter& u32(std::uint32_t value) { return integer(value, 4); }
  WireWriter& u64(std::uint64_t value) { return integer(value, 8); }
  /// -0 as an ordinary 0, so that equal values have equal bytes.
  WireWriter& f64(double value) { return u64(std::bit_cast<std::uint64_t>(value + 0.0)); }
  WireWriter& string(std::string_view value) {
    u32(static_cast<std::uint32_t>(value.size()));
    bytes_ += value;
    return *this;
  }
  std::string take() { return std::move(bytes_); }

 private:
  WireWriter& integer(std::uint64_t value, int size) {
    for (int i = 0; i < size; ++i) bytes_.push_back(static_cast<char>((value >> (8 * i)) & 0xff));
    return *this;
  }
  std::string bytes_;
};

/// Reads them back from bytes that nobody has checked. A read beyond the end, or of a longer string
/// than allowed, gives zero or nothing and makes every later `complete()` false.
class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : rest_(bytes) {}

  std::uint8_t u8() { return static_cast<std::uint8_t>(integer(1)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(integer(4)); }
  std::uint64_t u64() { return integer(8); }
  double f64() { return std::bit_cast<double>(u64()); }
  std::string string(std::size_t max_bytes) {
    const std::size_t size = u32();
    if (failed_ || size > max_bytes || size > rest_.size()) {
      failed_ = true;
      return {};
    }
    std::string value{rest_.substr(0, size)};
    rest_.remove_prefix(size);
    return value;
  }

  bool failed() const noexcept { return failed_; }
  /// Everything was there and nothing is left.
  bool complete() const noexcept { return !failed_ && rest_.empty(); }

 private:
  std::uint64_t integer(std::size_t size) {
    if (failed_ || rest_.size() < size) {
      failed_ = true;
      return 0;
    }
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < size; ++i) {
      value |= std::uint64_t{static_cast<unsigned char>(rest_[i])} << (8 * i);
    }
    rest_.remove_prefix(size);
    return value;
  }

  std::string_view rest_;
  bool failed_ = false;
};

}  // namespace smddp
