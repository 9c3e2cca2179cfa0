#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "smddp/communicator.h"
#include "smddp/registered.h"
#include "smddp/types.h"

#include "device/ipc_words.h"
#include "provider/cuda/gpu.h"
#include "provider/cuda/pinned_range.h"

namespace smddp {

/// Differs between processes.
std::uint64_t this_process();

/// A rank's memory on its GPU that all ranks of a host reach.
struct IpcSlab {
  static constexpr std::size_t kEager = std::size_t{128} << 10;
  static constexpr std::size_t kSpare = std::size_t{512} << 10;

  std::byte* base = nullptr;
  std::size_t staging = 0;  ///< bytes

  static constexpr std::size_t bytes(std::size_t staging) { return staging + 2 * kEager + kSpare; }
  /// For what others read or write, where they do not reach the user's memory.
  std::byte* stage() const { return base; }
  /// For little, in two halves that are used in turn.
  std::byte* eager(int half) const {
    return base + staging + static_cast<std::size_t>(half) * kEager;
  }
  std::byte* spare() const { return base + staging + 2 * kEager; }  ///< for trials
};

/// Memory of this process that the other ranks of its host reach, for one group at a time: a slab
/// on the GPU, and words in host memory, a line for each rank that writes. Made once, and used
/// again: making and ending such memory may wait for streams, and these for other ranks.
class IpcSlot {
 public:
  static constexpr std::size_t kSpareBytes = IpcSlab::kSpare;  ///< as much as of the slab
  /// What a rank tells the others, so that they reach it; zeros where there is none.
  static constexpr std::size_t kCardBytes = 104;

  /// `staging`: bytes for that on the GPU.
  static Result<std::unique_ptr<IpcSlot>> create(std::shared_ptr<const cuda::Gpu> gpu,
                                                 std::size_t staging);

  int gpu() const noexcept { return gpu_->ordinal(); }
  IpcSlab slab() const noexcept { return slab_; }
  IpcWords& words() const noexcept { return *reinterpret_cast<IpcWords*>(words_.data()); }
  /// Of the words, as the GPU sees them.
  cuda::Address address() const noexcept { return pinned_.address(); }
  /// Pinned memory that only this process uses.
  std::byte* spare() const noexcept { return words_.data() + IpcWords::bytes(); }

  /// A group takes it: all words are zero, and what others still tell of earlier turns does not
  /// count.
  void begin_turn() noexcept;
  std::uint32_t turn() const noexcept { return turn_; }
  std::vector<std::byte> card() const;

 private:
  IpcSlot(std::shared_ptr<const cuda::Gpu> gpu, RegisteredBlock words, std::size_t staging)
      : gpu_(std::move(gpu)), words_(std::move(words)), slab_{.staging = staging} {}
  Status fill();

  const std::shared_ptr<const cuda::Gpu> gpu_;
  RegisteredBlock words_;
  cuda::PinnedRange pinned_;
  cuda::PinnedRange pinned_spare_;
  IpcSlab slab_;
  cuda::IpcHandle handle_{};
  std::uint32_t turn_ = 0;
};

/// Another rank's slot, as this process reaches it.
struct IpcPeer {
  std::shared_ptr<void> owner{};  ///< keeps `words` mapped
  IpcWords* words = nullptr;
  cuda::PinnedRange pinned{};
  IpcSlab slab{};
  std::uint64_t process = 0;  ///< which it is in
};

/// This process's slots, and those it has reached. Nothing of it ends before the process does:
/// others may still use it. Thread-safe.
class IpcPool {
 public:
  /// With that much for staging.
  static Result<IpcSlot*> take(const std::shared_ptr<const cuda::Gpu>& gpu, std::size_t staging);
  /// Free once each of `writers` has said that it has closed it in this turn.
  static void give_back(IpcSlot* slot, std::vector<Rank> writers);

  /// Of which turn a card is.
  static std::uint32_t turn_of(std::span<const std::byte> card) noexcept;
  /// kSystem: it cannot be reached, or has none. The driver may wait for streams.
  static Result<const IpcPeer*> reach(const std::shared_ptr<const cuda::Gpu>& gpu,
                                      const ReachedMemory& memory, std::span<const std::byte> card);
};

}  // namespace smddp
