#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>

#include "device/host_place.h"
#include "device/ipc_words.h"
#include "provider/cuda/gpu.h"

namespace smddp {

/// Memory of this rank, as the GPUs of the other ranks of its host address it.
struct IpcView {
  const std::byte* start = nullptr;                     ///< here
  std::array<cuda::Address, cuda::kMostRanks> there{};  ///< by rank

  cuda::Address at(Rank peer, const std::byte* memory) const {
    return there[static_cast<std::size_t>(peer)] + static_cast<std::size_t>(memory - start);
  }
};

/// The allocations in which users' tensors lie, as far as the other ranks have opened them. They
/// are offered when a collective first meets them, and withdrawn when they are found to be freed.
/// For one thread at a time.
class IpcExports {
 public:
  IpcExports(std::shared_ptr<const cuda::Gpu> gpu, HostPlace place, IpcWords& words)
      : gpu_(std::move(gpu)), place_(place), words_(words) {}

  /// Looks for what was freed, a little each time: the others hold it until they hear of it.
  void look();
  /// Null unless all others reach all of it by now. Does not wait for them.
  std::optional<IpcView> view(const std::byte* memory, std::size_t bytes);

 private:
  static constexpr int kNone = -1;

  /// Which offer is of the allocation that has it, now or when it was offered.
  int find(const std::byte* memory) const;
  bool is_alive(int offer) const;
  std::optional<IpcView> answered(int offer) const;
  void offer(const std::byte* memory);
  int free_place();
  void withdraw(int offer);

  const std::shared_ptr<const cuda::Gpu> gpu_;
  const HostPlace place_;
  IpcWords& words_;
  std::array<cuda::Allocation, IpcWords::kMostOffers> offered_{};  ///< id 0: a free place
  /// Ids for which there was no place, or that cannot be shared: the driver is not asked again at
  /// every call.
  std::set<std::uint64_t> refused_;
  int looked_at_ = 0;
};

}  // namespace smddp
