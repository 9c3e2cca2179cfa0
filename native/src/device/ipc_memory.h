#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "smddp/communicator.h"
#include "smddp/registered.h"

#include "device/host_place.h"
#include "device/ipc_rounds.h"
#include "provider/cuda/gpu.h"
#include "provider/cuda/pinned_range.h"

namespace smddp {

/// Differs between processes.
std::uint64_t this_process();

/// What the ranks of a host reach of each other's: slabs on their GPUs, and words in host memory
/// that streams write and wait for. Words are written by the others only, so what this rank's
/// streams wait for is in its own memory, where the host can end it by a store at any time.
///
/// It may only end when no other rank uses it any more, so it is left to `retire`.
class IpcMemory {
 public:
  /// What a rank tells the others, so that they reach its memory.
  static constexpr std::size_t kCardBytes = 96;

  enum class Word : std::uint8_t {
    kReady,   ///< rounds whose input is in the slab
    kSpread,  ///< rounds whose results are in all slabs
  };

  static Result<std::unique_ptr<IpcMemory>> create(std::shared_ptr<const cuda::Gpu> gpu,
                                                   HostPlace place);
  ~IpcMemory();
  IpcMemory(const IpcMemory&) = delete;
  IpcMemory& operator=(const IpcMemory&) = delete;

  Result<std::vector<std::byte>> card() const;
  /// `ranks`: of this host, as `members` calls them; `cards`: of all members.
  Status reach(const Communicator& members, const std::vector<Rank>& ranks,
               std::span<const std::byte> cards);

  /// Of all ranks of the host.
  const std::vector<IpcSlab>& slabs() const noexcept { return slabs_; }
  /// Where this rank tells another one, and where it is told by it.
  cuda::Address told(Rank peer, Word word) const;
  cuda::Address heard(Rank peer, Word word) const;
  /// Ends what this rank's streams wait for, as if the others had come to `value`.
  void release(std::uint32_t value) noexcept;

  /// Takes it over. `is_unused`: this rank's GPU does not use the others' any more; then they are
  /// told, and theirs is closed. Ends what all others have done with.
  static void retire(std::unique_ptr<IpcMemory> memory, bool is_unused);

 private:
  struct Peer {
    std::byte* opened = nullptr;  ///< its slab, where that had to be opened
    std::byte* words = nullptr;   ///< where this rank tells it
    cuda::PinnedRange pinned{};
    std::shared_ptr<void> owner{};  ///< keeps `words` mapped
  };

  IpcMemory(std::shared_ptr<const cuda::Gpu> gpu, HostPlace place, RegisteredBlock words)
      : gpu_(std::move(gpu)), place_(place), words_(std::move(words)) {}

  Status reach_peer(Rank peer, const ReachedMemory& memory, std::span<const std::byte> card);
  void let_go_of_others() noexcept;
  bool is_done_with() const noexcept;
  bool is_self(Rank rank) const { return rank == place_.rank; }

  const std::shared_ptr<const cuda::Gpu> gpu_;
  const HostPlace place_;
  RegisteredBlock words_;
  cuda::PinnedRange pinned_;
  std::byte* slab_ = nullptr;
  std::vector<IpcSlab> slabs_;
  std::vector<Peer> peers_;
};

}  // namespace smddp
