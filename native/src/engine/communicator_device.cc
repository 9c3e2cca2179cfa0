// Operations that a GPU takes part in: waited for in their turn, then carried out, or over.
#include <utility>

#include "engine/communicator_impl.h"
#include "engine/device_part.h"
#include "engine/request_check.h"

namespace smddp {

// What others have to tell comes in meanwhile.
bool CommunicatorImpl::advance_device() {
  const bool moved = group_->transport != nullptr && group_->transport->progress(*this);
  if (!running_) return true;
  const Request& request = current_->request;
  Status reached = request.device_part->progress();
  if (reached.is_again()) return moved;
  awaits_device_.store(false, std::memory_order_relaxed);
  if (request.device_part->is_all() && (reached.ok() || reached.code() == StatusCode::kMismatch)) {
    // A GPU may get through what another rank could not do its part of.
    if (group_->board->has_fault()) inspect();
    if (!running_) return true;
    // Or what its ranks did not agree on, which it may have noticed.
    if (Status compared = watch_->compare(); !compared.ok()) reached = std::move(compared);
  }
  if (!reached.ok()) {
    fail(reached);
  } else if (request.device_part->is_all()) {
    finish_current(Status{});
  } else {
    watch_->off_device();
    carry_out(request, to_signature(request, sequence_ - 1));
  }
  return true;
}

ReachedMemory CommunicatorImpl::memory_of(Rank rank) const {
  if (phase_.load() != Phase::kReady || leaving_.load() || group_->bell == nullptr) return {};
  const Placement& placement = group_->placement;
  if (placement.host_of(rank) != placement.host_of(group_->self)) return {};
  const auto& peer = group_->bell->peers()[static_cast<std::size_t>(placement.local_rank(rank))];
  return peer == nullptr ? ReachedMemory{} : ReachedMemory{peer->heap(), peer};
}

}  // namespace smddp
