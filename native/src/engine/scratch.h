#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

namespace smddp {

/// Uninitialised memory that grows and is kept from one operation to the next.
class Scratch {
 public:
  /// At least `bytes` bytes, aligned to a page; what was there before is lost when it grows.
  std::byte* reserve(std::size_t bytes) {
    if (bytes > capacity_) {
      memory_.reset();
      capacity_ = (bytes + kAlignment - 1) / kAlignment * kAlignment;
      memory_.reset(static_cast<std::byte*>(std::aligned_alloc(kAlignment, capacity_)));
      if (!memory_) throw std::bad_alloc{};
    }
    return memory_.get();
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
