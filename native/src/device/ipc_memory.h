#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "smddp/communicator.h"

#include "device/host_place.h"
#include "device/ipc_exports.h"
#include "device/ipc_imports.h"
#include "device/ipc_pool.h"
#include "provider/cuda/gpu.h"

namespace smddp {

/// What of a group's memory on GPUs is shared; the same on all its ranks.
struct IpcTerms {
  std::size_t staging = SIZE_MAX;  ///< bytes for it in each slab
  bool opens_tensors = true;       ///< users' memory too; on this rank, whatever the others do
};

/// What the ranks of a group on one host reach of each other's: memory of their GPUs, and words in
/// host memory that streams write and wait for. What a rank's streams wait for is in its own words,
/// where the host can end it by a store at any time.
class IpcMemory {
 public:
  static Result<std::unique_ptr<IpcMemory>> create(std::shared_ptr<const cuda::Gpu> gpu,
                                                   HostPlace place, IpcTerms terms);

  std::vector<std::byte> card() const { return slot_->card(); }
  /// `ranks`: of this host, as `members` calls them; `cards`: of all members.
  Status reach(const Communicator& members, const std::vector<Rank>& ranks,
               std::span<const std::byte> cards);
  /// Where another rank's GPU has this rank's slab. Once all have reached.
  void set_slab_at(Rank peer, cuda::Address start);

  /// Of all ranks of the host.
  const std::vector<IpcSlab>& slabs() const noexcept { return slabs_; }
  /// This rank's slab.
  const IpcView& slab_view() const noexcept { return slab_view_; }
  /// Users' memory, or a part of the slab; null unless all others reach all of it.
  std::optional<IpcView> view(const std::byte* memory, std::size_t bytes);
  /// Follows what ranks offer and withdraw.
  void look();
  /// Pinned memory of as many bytes as a slab's spare part.
  std::byte* spare() const noexcept { return slot_->spare(); }
  /// The lines of all ranks in this one's words, and this one's line in another rank's; as GPUs
  /// address them.
  cuda::Address lines() const { return slot_->address(); }
  cuda::Address told(Rank peer) const;
  /// Where a kernel says in which round it did nothing, as ranks had called different things; and
  /// whether one has, up to that round.
  cuda::Address left_out() const { return slot_->address() + offsetof(IpcWords, left_out); }
  bool has_left_out(std::uint32_t round) const noexcept;
  /// Whether all others are through with what they did in that round.
  bool are_all_through(std::uint32_t round) const noexcept;
  // Ends what this rank's streams wait for, as if the others had come to that round:
  void release_ready(std::uint32_t round) noexcept;
  void release_through(std::uint32_t round) noexcept;
  /// What the others have not begun to read and write of this rank's memory, they leave alone from
  /// now on, however far behind they are. Before any release.
  void give_up() noexcept;
  /// Also who has told others and not yet this one: they may have left something out.
  bool has_any_given_up() const noexcept;
  /// A word for kernels: of what lines are now.
  std::uint32_t turn() const noexcept { return slot_->turn(); }

  // One of these, once, at the end:
  /// This rank's GPU does not use the others' memory any more. Its own may be taken by another
  /// group when they say the same.
  void close();
  /// Nobody has ever used it.
  void give_back_unused();
  // Or none of them, where the GPU may still be at it.

 private:
  IpcMemory(std::shared_ptr<const cuda::Gpu> gpu, HostPlace place, IpcTerms terms, IpcSlot* slot)
      : gpu_(std::move(gpu)),
        place_(place),
        terms_(terms),
        slot_(slot),
        exports_(gpu_, place, slot->words()),
        imports_(std::make_shared<IpcImports>(gpu_, place)),
        slab_view_{.start = slot->slab().base} {}
  std::vector<Rank> others() const;

  const std::shared_ptr<const cuda::Gpu> gpu_;
  const HostPlace place_;
  const IpcTerms terms_;
  IpcSlot* const slot_;
  IpcExports exports_;
  const std::shared_ptr<IpcImports> imports_;
  IpcView slab_view_;
  std::vector<IpcSlab> slabs_;
  std::vector<const IpcPeer*> peers_;  ///< null for this rank
  std::vector<std::uint32_t> turns_;   ///< of the peers' slots
};

}  // namespace smddp
