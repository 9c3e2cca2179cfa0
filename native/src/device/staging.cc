#include "device/staging.h"

#include <algorithm>

#include "base/fork_guard.h"

namespace smddp {

Staging::~Staging() {
  if (memory_ != nullptr) pool_->put_back({memory_, bytes_});
}

StagingPool::~StagingPool() {
  if (in_forked_child()) return;
  for (const Block& block : free_) gpu_->free_pinned(block.memory);
}

Result<Staging> StagingPool::take(std::size_t bytes) {
  const std::size_t needed = (bytes + Staging::kLine + kGranule - 1) / kGranule * kGranule;
  Block block = find(needed);
  if (block.memory == nullptr) {
    Result<std::byte*> memory = gpu_->allocate_pinned(needed);
    if (!memory.ok()) return memory.status();
    block = {memory.value(), needed};
  }
  Staging staging{shared_from_this(), block.memory, block.bytes};
  staging.set_word(0);
  return staging;
}

/// The smallest that is large enough, unless that wastes more than half of it.
StagingPool::Block StagingPool::find(std::size_t bytes) {
  const std::lock_guard lock{mutex_};
  auto best = free_.end();
  for (auto block = free_.begin(); block != free_.end(); ++block) {
    const bool suits = block->bytes >= bytes && block->bytes <= 2 * bytes;
    if (suits && (best == free_.end() || block->bytes < best->bytes)) best = block;
  }
  if (best == free_.end()) return {nullptr, 0};
  const Block found = *best;
  free_.erase(best);
  return found;
}

void StagingPool::put_back(Block block) noexcept {
  if (in_forked_child()) return;  // the lock may have been held
  const std::lock_guard lock{mutex_};
  free_.push_back(block);
}

}  // namespace smddp
