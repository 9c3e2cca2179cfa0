#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "smddp/request.h"

#include "device/host_place.h"
#include "provider/cuda/kernel_arguments.h"

namespace smddp {

/// A rank's memory that all ranks of a host reach: two halves, used in turn, of two chunks each.
/// One is for what the others read, and one for what they write.
struct IpcSlab {
  /// Small enough that what eight ranks have in flight stays in the second-level cache of an H200,
  /// 60 MB, when they share the GPU. Not measured yet.
  static constexpr std::size_t kChunk = std::size_t{2} << 20;
  static constexpr std::size_t kSpare = std::size_t{512} << 10;  ///< that rounds do not use
  static constexpr std::size_t kBytes = 4 * kChunk + kSpare;

  std::byte* base = nullptr;

  std::byte* in(int half) const { return base + static_cast<std::size_t>(half) * 2 * kChunk; }
  std::byte* out(int half) const { return in(half) + kChunk; }
  std::byte* spare() const { return base + 4 * kChunk; }
};

/// What a rank does in one round, in this order.
struct IpcRound {
  struct Copy {
    const std::byte* from;
    std::byte* to;
    std::size_t bytes;
  };

  std::vector<Copy> bring;  ///< from the user's memory to the slab
  // Here the ranks wait for each other.
  cuda::ReduceArguments reduce{};  ///< of slabs, unless it has no targets
  std::vector<Copy> fetch;         ///< from slabs to the user's memory
  bool spreads = false;            ///< each rank's kernel writes to all slabs
  // If so, they wait for each other again.
  std::vector<Copy> take;  ///< from the own slab
};

/// A collective among ranks that reach each other's slabs, as rounds whose number is the same on
/// all of them. A round uses the half whose number is the round's parity: when ranks have waited
/// for each other in the next round, none uses it any more.
class IpcRounds {
 public:
  /// `request` and `slabs`, which are by rank, outlive this.
  IpcRounds(const Request& request, HostPlace place, const std::vector<IpcSlab>& slabs);

  static bool serves(const Request& request);
  std::size_t count() const noexcept { return count_; }
  /// Round `number` of count(), on that half of the slabs.
  IpcRound round(std::size_t number, int half) const;

 private:
  struct Part {
    std::size_t first;  ///< element
    std::size_t count;  ///< elements
    std::size_t bytes(std::size_t width) const { return count * width; }
  };

  IpcRound all_reduce(Part part, int half) const;
  IpcRound reduce(Part part, int half) const;
  IpcRound reduce_scatter(Part part, int half) const;
  IpcRound broadcast(Part part, int half) const;
  IpcRound all_gather(Part part, int half) const;
  IpcRound gather(Part part, int half) const;
  IpcRound scatter(Part part, int half) const;

  void bring_pieces(IpcRound& round, Part part, int half) const;
  void fetch_blocks(IpcRound& round, Part part, int half) const;
  IpcRound::Copy brought(Part part, int half) const;
  cuda::ReduceArguments reduction(std::size_t offset, std::size_t count, int half,
                                  std::span<std::byte* const> targets) const;
  /// As much of `part` as a block of `count` elements has.
  static Part within(Part part, std::size_t count);
  std::size_t count_of(Rank rank) const;
  /// Elements before the rank's block.
  std::size_t begin_of(Rank rank) const;
  std::size_t largest() const;
  std::byte* own(int half) const { return slabs_[static_cast<std::size_t>(place_.rank)].in(half); }
  std::byte* in_of(Rank rank, int half) const {
    return slabs_[static_cast<std::size_t>(rank)].in(half);
  }
  const std::byte* in(std::size_t element) const {
    return static_cast<const std::byte*>(request_.in) + element * width_;
  }
  std::byte* out(std::size_t element) const {
    return static_cast<std::byte*>(request_.out) + element * width_;
  }
  bool is_root() const { return request_.root == place_.rank; }
  bool is_in_pieces() const;

  const Request& request_;
  const HostPlace place_;
  const std::vector<IpcSlab>& slabs_;
  const std::size_t width_;  ///< bytes of an element
  std::size_t piece_;        ///< bytes of a rank's part of a chunk, where ranks get different parts
  std::size_t step_;         ///< elements of a round
  std::size_t count_;
};

}  // namespace smddp
