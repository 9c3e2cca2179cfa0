#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "smddp/communicator.h"
#include "smddp/registered.h"
#include "smddp/types.h"

#include "device/ipc_rounds.h"
#include "provider/cuda/gpu.h"
#include "provider/cuda/pinned_range.h"

namespace smddp {

/// Differs between processes.
std::uint64_t this_process();

/// What one rank tells another one; on a line of its own in the other's words.
struct alignas(64) IpcLine {
  std::uint32_t word;    ///< how far it has come; its streams write it
  std::uint32_t closed;  ///< of which turn it does not use the other's memory any more
};

/// Memory of this process that the other ranks of its host reach, for one group at a time: a slab
/// on the GPU, and words in host memory, a line for each rank that writes. Made once, and used
/// again: making and ending such memory may wait for streams, and these for other ranks.
class IpcSlot {
 public:
  static constexpr std::size_t kWordsBytes = 4096;
  static constexpr std::size_t kSpareBytes = IpcSlab::kSpare;  ///< as much as of the slab
  static_assert(cuda::kMostRanks * sizeof(IpcLine) <= kWordsBytes);
  /// What a rank tells the others, so that they reach it; zeros where there is none.
  static constexpr std::size_t kCardBytes = 96;

  static Result<std::unique_ptr<IpcSlot>> create(std::shared_ptr<const cuda::Gpu> gpu);

  int gpu() const noexcept { return gpu_->ordinal(); }
  IpcSlab slab() const noexcept { return {slab_}; }
  IpcLine& line(Rank writer) const noexcept {
    return reinterpret_cast<IpcLine*>(words_.data())[writer];
  }
  /// Of that line's word, as the GPU sees it.
  cuda::Address address(Rank writer) const noexcept {
    return pinned_.address() + static_cast<std::size_t>(writer) * sizeof(IpcLine);
  }
  /// Pinned memory that only this process uses.
  std::byte* spare() const noexcept { return words_.data() + kWordsBytes; }

  /// A group takes it: all words are zero, and what others still tell of earlier turns does not
  /// count.
  void begin_turn() noexcept;
  std::uint32_t turn() const noexcept { return turn_; }
  std::vector<std::byte> card() const;

 private:
  IpcSlot(std::shared_ptr<const cuda::Gpu> gpu, RegisteredBlock words)
      : gpu_(std::move(gpu)), words_(std::move(words)) {}
  Status fill();

  const std::shared_ptr<const cuda::Gpu> gpu_;
  RegisteredBlock words_;
  cuda::PinnedRange pinned_;
  cuda::PinnedRange pinned_spare_;
  std::byte* slab_ = nullptr;
  cuda::IpcHandle handle_{};
  std::uint32_t turn_ = 0;
};

/// Another rank's slot, as this process reaches it.
struct IpcPeer {
  std::shared_ptr<void> owner{};  ///< keeps `words` mapped
  std::byte* words = nullptr;
  cuda::PinnedRange pinned{};
  IpcSlab slab{};
};

/// This process's slots, and those it has reached. Nothing of it ends before the process does:
/// others may still use it. Thread-safe.
class IpcPool {
 public:
  static Result<IpcSlot*> take(const std::shared_ptr<const cuda::Gpu>& gpu);
  /// Free once each of `writers` has said that it has closed it in this turn.
  static void give_back(IpcSlot* slot, std::vector<Rank> writers);

  /// Of which turn a card is.
  static std::uint32_t turn_of(std::span<const std::byte> card) noexcept;
  /// kSystem: it cannot be reached, or has none. The driver may wait for streams.
  static Result<const IpcPeer*> reach(const std::shared_ptr<const cuda::Gpu>& gpu,
                                      const ReachedMemory& memory, std::span<const std::byte> card);
};

}  // namespace smddp
