#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include "smddp/status.h"

#include "provider/cuda/gpu.h"

namespace smddp::cuda {

/// Memory of the host that this process's GPUs reach as long as somebody has a PinnedRange of it.
/// The driver takes a range once; here several owners may ask for the same one.
class PinnedRange {
 public:
  /// `memory`: whole pages, equal or disjoint for all owners.
  static Result<PinnedRange> pin(std::shared_ptr<const Gpu> gpu, std::byte* memory,
                                 std::size_t bytes);

  PinnedRange() = default;
  PinnedRange(PinnedRange&& other) noexcept
      : memory_(std::exchange(other.memory_, nullptr)), address_(other.address_) {}
  PinnedRange& operator=(PinnedRange&& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(address_, other.address_);
    return *this;
  }
  PinnedRange(const PinnedRange&) = delete;
  PinnedRange& operator=(const PinnedRange&) = delete;
  ~PinnedRange();

  /// As the GPU sees it.
  Address address() const noexcept { return address_; }

 private:
  PinnedRange(std::byte* memory, Address address) : memory_(memory), address_(address) {}

  std::byte* memory_ = nullptr;
  Address address_ = 0;
};

}  // namespace smddp::cuda
