#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>

namespace smddp {

/// Uninitialised memory that grows and is kept from one operation to the next.
class Scratch {
 public:
  /// At least `bytes` bytes, aligned to a page; what was there before is lost when it grows. False
  /// when there is not so much memory.
  [[nodiscard]] bool reserve(std::size_t bytes) noexcept {
    if (bytes <= capacity_) return true;
    const std::size_t wanted = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    memory_.reset();
    memory_.reset(static_cast<std::byte*>(std::aligned_alloc(kAlignment, wanted)));
    capacity_ = memory_ ? wanted : 0;
    return memory_ != nullptr;
  }
  std::byte* data() const noexcept { return memory_.get(); }

 private:
  static constexpr std::size_t kAlignment = 4096;
  struct Free {
    void operator()(std::byte* memory) const noexcept { std::free(memory); }
  };
  std::unique_ptr<std::byte, Free> memory_;
  std::size_t capacity_ = 0;
};

}  // namespace smddp
