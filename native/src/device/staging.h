#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "smddp/status.h"

#include "provider/cuda/gpu.h"

namespace smddp {

class StagingPool;

/// Pinned memory for one operation: data, and a word that a stream can wait for. Goes back to its
/// pool in the end.
class Staging {
 public:
  Staging() = default;
  Staging(std::shared_ptr<StagingPool> pool, std::byte* memory, std::size_t bytes)
      : pool_(std::move(pool)), memory_(memory), bytes_(bytes) {}
  Staging(Staging&& other) noexcept
      : pool_(std::move(other.pool_)),
        memory_(std::exchange(other.memory_, nullptr)),
        bytes_(std::exchange(other.bytes_, 0)) {}
  Staging& operator=(Staging&& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(memory_, other.memory_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Staging();

  /// On a cache line of its own. Written by the host, read by the GPU.
  const std::uint32_t* word() const { return reinterpret_cast<const std::uint32_t*>(memory_); }
  void set_word(std::uint32_t value) noexcept {
    std::atomic_ref{*reinterpret_cast<std::uint32_t*>(memory_)}.store(value,
                                                                      std::memory_order_release);
  }
  std::byte* data() { return memory_ + kLine; }

 private:
  friend class StagingPool;
  static constexpr std::size_t kLine = 64;

  std::shared_ptr<StagingPool> pool_;
  std::byte* memory_ = nullptr;
  std::size_t bytes_ = 0;
};

/// Pinned memory that operations use one after the other, because making it takes as long as moving
/// much of it. Grows to what was in use at the same time.
class StagingPool : public std::enable_shared_from_this<StagingPool> {
 public:
  explicit StagingPool(std::shared_ptr<const cuda::Gpu> gpu) : gpu_(std::move(gpu)) {}
  ~StagingPool();
  StagingPool(const StagingPool&) = delete;
  StagingPool& operator=(const StagingPool&) = delete;

  /// Room for `bytes` of data, and the word 0.
  Result<Staging> take(std::size_t bytes);

 private:
  friend class Staging;

  struct Block {
    std::byte* memory;
    std::size_t bytes;
  };
  static constexpr std::size_t kGranule = 64 * 1024;

  Block find(std::size_t bytes);
  void put_back(Block block) noexcept;

  const std::shared_ptr<const cuda::Gpu> gpu_;
  std::mutex mutex_;
  std::vector<Block> free_;
};

}  // namespace smddp
