#include "device/ipc_exports.h"

#include <algorithm>
#include <cstring>

namespace smddp {
namespace {

constexpr std::size_t kMostRefused = 4096;
constexpr int kLooks = 4;  // at a time: each is a call of the driver

}  // namespace

int IpcExports::find(const std::byte* memory) const {
  const auto found = std::find_if(offered_.begin(), offered_.end(), [&](const auto& one) {
    return one.id != 0 && memory >= one.start && memory < one.start + one.bytes;
  });
  return found != offered_.end() ? static_cast<int>(found - offered_.begin()) : kNone;
}

/// Else it was freed, and other memory may be where it was.
bool IpcExports::is_alive(int offer) const {
  const cuda::Allocation& then = offered_[static_cast<std::size_t>(offer)];
  const auto now = gpu_->allocation_of(then.start);
  return now.ok() && now.value().id == then.id;
}

std::optional<IpcView> IpcExports::view(const std::byte* memory, std::size_t bytes) {
  const int known = find(memory);
  if (known == kNone || !is_alive(known)) {
    if (known != kNone) withdraw(known);
    offer(memory);
    return std::nullopt;
  }
  const cuda::Allocation& whole = offered_[static_cast<std::size_t>(known)];
  if (bytes > whole.bytes - static_cast<std::size_t>(memory - whole.start)) return std::nullopt;
  return answered(known);
}

std::optional<IpcView> IpcExports::answered(int offer) const {
  const auto at = static_cast<std::size_t>(offer);
  IpcView view{.start = offered_[at].start};
  for (Rank peer = 0; peer < place_.ranks; ++peer) {
    if (peer == place_.rank) continue;
    const IpcAnswer& answer = words_.answers[peer][at];
    if (load(answer.id) != offered_[at].id) return std::nullopt;
    view.there[static_cast<std::size_t>(peer)] = load(answer.start);
  }
  return view;
}

void IpcExports::offer(const std::byte* memory) {
  const auto allocation = gpu_->allocation_of(memory);
  if (!allocation.ok() || allocation.value().id == 0) return;
  const cuda::Allocation& found = allocation.value();
  if (refused_.contains(found.id)) return;
  // Not all memory can be shared: not that of cuMemCreate, nor of cudaMallocAsync.
  const auto handle = gpu_->share(found.start);
  const int place = handle.ok() ? free_place() : kNone;
  if (place == kNone) {
    if (refused_.size() == kMostRefused) refused_.clear();
    refused_.insert(found.id);
    return;
  }
  offered_[static_cast<std::size_t>(place)] = found;
  IpcOffer made{
      .id = found.id, .start = reinterpret_cast<std::uint64_t>(found.start), .bytes = found.bytes};
  std::memcpy(made.handle, &handle.value(), sizeof(made.handle));
  write(words_.offers[place], made);
  store(words_.changes, words_.changes + 1);
}

void IpcExports::look() {
  int looks = 0;
  for (int step = 0; step < IpcWords::kMostOffers && looks < kLooks; ++step) {
    looked_at_ = (looked_at_ + 1) % IpcWords::kMostOffers;
    if (offered_[static_cast<std::size_t>(looked_at_)].id == 0) continue;
    ++looks;
    if (!is_alive(looked_at_)) withdraw(looked_at_);
  }
}

// Whoever takes memory from the GPU gives some back now and then, so all that was freed is looked
// for.
int IpcExports::free_place() {
  int place = kNone;
  for (int k = 0; k < IpcWords::kMostOffers; ++k) {
    const bool is_taken = offered_[static_cast<std::size_t>(k)].id != 0;
    if (is_taken && is_alive(k)) continue;
    if (is_taken) withdraw(k);
    if (place == kNone) place = k;
  }
  return place;
}

void IpcExports::withdraw(int offer) {
  const auto at = static_cast<std::size_t>(offer);
  offered_[at] = {};
  store(words_.offers[at].id, std::uint64_t{0});
  store(words_.changes, words_.changes + 1);
  refused_.clear();
}

}  // namespace smddp
