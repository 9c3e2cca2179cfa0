#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <vector>

#include "smddp/request.h"

#include "device/host_place.h"
#include "device/ipc_exports.h"
#include "device/ipc_pool.h"
#include "provider/cuda/kernel_arguments.h"

namespace smddp {

/// What a rank does in one round, in this order.
struct IpcRound {
  struct Copy {
    const std::byte* from;
    std::byte* to;
    std::size_t bytes;
  };
  /// Where another rank reads and writes memory of this one, as its GPU addresses it; 0: nowhere.
  struct Told {
    cuda::Address in = 0;
    cuda::Address out = 0;
  };

  std::vector<Copy> bring;  ///< from the user's memory to the slab
  std::vector<Told> told;   ///< by rank; empty: no rank is told anything
  // Here the ranks wait for each other.
  cuda::ReduceArguments kernel{};  ///< none, unless it has targets
  bool copies = false;             ///< it does, instead of reducing
  bool ends_together = true;       ///< here they wait for each other again
  std::vector<Copy> take;          ///< from the slab to the user's memory
};

/// What a rank knows of the memory that ranks share.
struct IpcReach {
  const std::vector<IpcSlab>& slabs;  ///< by rank, as this one addresses them
  IpcView slab;                       ///< of this rank
  /// Of memory of the user, if the others reach it.
  std::function<std::optional<IpcView>(const std::byte* memory, std::size_t bytes)> view;
};

/// A collective among ranks that read and write each other's memory, as rounds whose number is the
/// same on all of them. Each rank shows the others the user's memory where they reach it, and else
/// a part of its slab, which it copies to and from; that is for itself to decide, as it tells the
/// others where to find it.
class IpcRounds {
 public:
  /// `request` and the slabs outlive this.
  IpcRounds(const Request& request, HostPlace place, IpcReach reach);

  static bool serves(const Request& request);
  std::size_t count() const noexcept { return count_; }
  /// Round `number` of count(). `half`: of what is used in turn, so another one than in the round
  /// before.
  IpcRound round(std::size_t number, int half) const;

 private:
  struct Part {
    std::size_t first;  ///< element
    std::size_t count;  ///< elements
    std::size_t bytes(std::size_t width) const { return count * width; }
  };
  /// Memory that other ranks read or write in a round.
  struct Shown {
    const IpcView& view;
    std::byte* start;
    cuda::Address at(Rank peer, std::size_t offset) const { return view.at(peer, start + offset); }
  };

  IpcRound one_shot(Part part, int half) const;
  IpcRound all_reduce(Part part) const;
  IpcRound reduce(Part part) const;
  IpcRound reduce_scatter(Part part) const;
  IpcRound broadcast(Part part) const;
  IpcRound all_gather(Part part) const;
  IpcRound gather(Part part) const;
  IpcRound scatter(Part part) const;

  IpcRound begin() const;
  /// Lets all others read what this rank brings for each of them.
  void show_pieces(IpcRound& round, Part part) const;
  /// Lets all others write their blocks.
  void show_blocks(IpcRound& round, Part part) const;
  Shown shown(const std::optional<IpcView>& view, const void* memory) const;
  void find_shown();
  /// As much of `part` as a block of `count` elements has.
  static Part within(Part part, std::size_t count);
  std::size_t count_of(Rank rank) const;
  /// Elements before the rank's block.
  std::size_t begin_of(Rank rank) const;
  std::size_t largest() const;
  std::size_t total() const;
  const std::byte* in(std::size_t element) const {
    return static_cast<const std::byte*>(request_.in) + element * width_;
  }
  std::byte* out(std::size_t element) const {
    return static_cast<std::byte*>(request_.out) + element * width_;
  }
  /// What a root broadcasts.
  const void* source() const { return request_.in != nullptr ? request_.in : request_.out; }
  std::byte* stage() const { return own().stage(); }
  const IpcSlab& own() const { return reach_.slabs[static_cast<std::size_t>(place_.rank)]; }
  bool is_root() const { return request_.root == place_.rank; }
  bool is_one_shot() const;

  const Request& request_;
  const HostPlace place_;
  const IpcReach reach_;
  const std::size_t width_;  ///< bytes of an element
  /// Bytes of the stage for each rank, where ranks get or bring different parts.
  const std::size_t piece_;
  const std::size_t step_;  ///< elements of a round
  const std::size_t count_;
  std::optional<IpcView> in_;  ///< null: what others read of this rank is staged
  std::optional<IpcView> out_;
};

}  // namespace smddp
