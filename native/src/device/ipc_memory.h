#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "smddp/communicator.h"

#include "device/host_place.h"
#include "device/ipc_pool.h"
#include "device/ipc_rounds.h"
#include "provider/cuda/gpu.h"

namespace smddp {

/// What the ranks of a group on one host reach of each other's: slabs on their GPUs, and words in
/// host memory that streams write and wait for. A rank's words are written by the others only, so
/// what its streams wait for is in its own memory, where the host can end it by a store at any
/// time.
class IpcMemory {
 public:
  static Result<std::unique_ptr<IpcMemory>> create(std::shared_ptr<const cuda::Gpu> gpu,
                                                   HostPlace place);

  std::vector<std::byte> card() const { return slot_->card(); }
  /// `ranks`: of this host, as `members` calls them; `cards`: of all members.
  Status reach(const Communicator& members, const std::vector<Rank>& ranks,
               std::span<const std::byte> cards);

  /// Of all ranks of the host.
  const std::vector<IpcSlab>& slabs() const noexcept { return slabs_; }
  /// Pinned memory of as many bytes as a slab's spare part.
  std::byte* spare() const noexcept { return slot_->spare(); }
  /// Where this rank tells another one how far it has come, and where it is told by it.
  cuda::Address told(Rank peer) const;
  cuda::Address heard(Rank peer) const { return slot_->address(peer); }
  /// Whether all others have come that far.
  bool have_all_come_to(std::uint32_t value) const noexcept;
  /// Ends what this rank's streams wait for, as if the others had come to `value`.
  void release(std::uint32_t value) noexcept;

  // One of these, once, at the end:
  /// This rank's GPU does not use the others' memory any more. Its own may be taken by another
  /// group when they say the same.
  void close();
  /// Nobody has ever used it.
  void give_back_unused();
  // Or none of them, where the GPU may still be at it.

 private:
  IpcMemory(std::shared_ptr<const cuda::Gpu> gpu, HostPlace place, IpcSlot* slot)
      : gpu_(std::move(gpu)), place_(place), slot_(slot) {}
  std::vector<Rank> others() const;

  const std::shared_ptr<const cuda::Gpu> gpu_;
  const HostPlace place_;
  IpcSlot* const slot_;
  std::vector<IpcSlab> slabs_;
  std::vector<const IpcPeer*> peers_;  ///< null for this rank
  std::vector<std::uint32_t> turns_;   ///< of the peers' slots
};

}  // namespace smddp
