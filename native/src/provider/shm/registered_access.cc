#include "provider/shm/registered_access.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "memory/registered_heap.h"

namespace smddp {

RegisteredAccess::RegisteredAccess(std::vector<std::span<std::byte>> heaps, const ShmCall& call)
    : heaps_(std::move(heaps)),
      reaches_all_(std::none_of(heaps_.begin(), heaps_.end(),
                                [](std::span<std::byte> heap) { return heap.empty(); })),
      in_(heaps_.size()),
      out_(heaps_.size()),
      call_(call) {}

// What begins in the heap ends there.
std::optional<std::uint64_t> RegisteredAccess::offset_of(const std::byte* array) const {
  const std::span<std::byte> heap = heaps_[static_cast<std::size_t>(call_.self)];
  if (array < heap.data() || array >= heap.data() + heap.size()) return std::nullopt;
  return static_cast<std::uint64_t>(array - heap.data());
}

ArrayPlace RegisteredAccess::locate() {
  if (!reaches_all_ || !suits_registered(call_)) return ArrayPlace::kPlain;
  const Needed needed = needed_arrays(call_);
  if (!needed.in && !needed.out) return ArrayPlace::kUnneeded;
  offsets_ = {};
  if (needed.in) {
    const auto offset = offset_of(call_.in);
    if (!offset) return ArrayPlace::kPlain;
    offsets_.in = *offset;
  }
  if (needed.out) {
    const auto offset = offset_of(call_.out);
    if (!offset) return ArrayPlace::kPlain;
    offsets_.out = *offset;
  }
  return ArrayPlace::kRegistered;
}

void RegisteredAccess::announce(ReadyLine& line) const {
  line.place = place_;
  if (place_ == ArrayPlace::kRegistered)
    std::memcpy(line.payload.data(), &offsets_, sizeof(offsets_));
}

Route RegisteredAccess::agree(std::uint64_t chunk) {
  bool plain = place_ == ArrayPlace::kPlain;
  bool registered = place_ == ArrayPlace::kRegistered;
  for (int rank = 0; rank < call_.ranks; ++rank) {
    if (rank == call_.self) continue;
    const ArrayPlace place = call_.region->ready(rank, chunk).place;
    plain |= place == ArrayPlace::kPlain;
    registered |= place == ArrayPlace::kRegistered;
  }
  if (!registered) return Route::kStaged;
  if (plain) {
    place_ = ArrayPlace::kPlain;
    return Route::kStartOver;
  }
  reach_all(chunk);
  select_share(chunk);
  return Route::kRegistered;
}

void RegisteredAccess::reach_all(std::uint64_t chunk) {
  for (std::size_t rank = 0; rank < heaps_.size(); ++rank) {
    const ReadyLine& line = call_.region->ready(static_cast<int>(rank), chunk);
    Offsets offsets;
    std::memcpy(&offsets, line.payload.data(), sizeof(offsets));
    const bool reached = line.place == ArrayPlace::kRegistered;
    in_[rank] = reached ? heaps_[rank].data() + offsets.in : nullptr;
    out_[rank] = reached ? heaps_[rank].data() + offsets.out : nullptr;
  }
}

void RegisteredAccess::select_share(std::uint64_t chunk) {
  const ReachedArrays arrays{in_, out_};
  switch (call_.step->collective) {
    case Collective::kAllReduce:
    case Collective::kReduce:
      storage_.emplace(std::in_place_type<RegisteredReduce>, call_, arrays);
      break;
    case Collective::kReduceScatter:
      storage_.emplace(std::in_place_type<RegisteredScatter>, call_, arrays);
      break;
    default:
      storage_.emplace(std::in_place_type<RegisteredFetch>, call_, arrays, chunk);
      break;
  }
  share_ = std::visit([](auto& share) -> RegisteredRoutine* { return &share; }, *storage_);
}

void RegisteredAccess::retire() const noexcept {
  if (place_ != ArrayPlace::kRegistered) return;
  RegisteredHeap* const heap = RegisteredHeap::known();
  if (heap == nullptr) return;
  heap->retire(call_.in);
  heap->retire(call_.out);
}

}  // namespace smddp
