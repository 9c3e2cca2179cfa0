#include "provider/cuda/pinned_range.h"

#include <map>
#include <mutex>

#include "base/fork_guard.h"

namespace smddp::cuda {
namespace {

struct Pinned {
  std::shared_ptr<const Gpu> gpu;
  Address address;
  int owners;
};

struct Registry {
  std::mutex mutex;
  std::map<std::byte*, Pinned> ranges;
};

/// Never destroyed: owners may outlive static objects.
Registry& registry() {
  static Registry& object = *new Registry;
  return object;
}

}  // namespace

Result<PinnedRange> PinnedRange::pin(std::shared_ptr<const Gpu> gpu, std::byte* memory,
                                     std::size_t bytes) {
  const std::lock_guard lock{registry().mutex};
  const auto known = registry().ranges.find(memory);
  if (known != registry().ranges.end()) {
    ++known->second.owners;
    return PinnedRange{memory, known->second.address};
  }
  const Result<Address> address = gpu->pin(memory, bytes);
  if (!address.ok()) return address.status();
  registry().ranges.emplace(memory, Pinned{std::move(gpu), address.value(), 1});
  return PinnedRange{memory, address.value()};
}

PinnedRange::~PinnedRange() {
  if (memory_ == nullptr || in_forked_child()) return;
  const std::lock_guard lock{registry().mutex};
  const auto known = registry().ranges.find(memory_);
  if (--known->second.owners > 0) return;
  known->second.gpu->unpin(memory_);
  registry().ranges.erase(known);
}

}  // namespace smddp::cuda
