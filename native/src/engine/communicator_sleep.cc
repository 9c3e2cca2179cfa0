// What the engine thread asks of a communicator around its sleep.
#include <algorithm>

#include "engine/communicator_impl.h"
#include "engine/runtime_impl.h"

namespace smddp {

void CommunicatorImpl::look_around() {
  if (!baton_.try_take()) return;
  if (is_busy()) {
    inspect();
  } else {
    serve_peers();
  }
  baton_.drop();
}

Deadline CommunicatorImpl::next_look() {
  if (!is_busy()) return peers_wait_ ? Deadline::after(kServingPeriod) : Deadline::never();
  if (!baton_.try_take()) return Deadline::never();
  Deadline at = running_ ? watch_->next_look() : Deadline::never();
  if (awaits_device_.load() || has_awaited_sends())
    at = std::min(at, Deadline::after(kDevicePeriod));
  if (message_watch_ && has_messages()) at = std::min(at, message_watch_->next_look());
  if (dependent_waits_.load()) at = std::min(at, Deadline::after(kDependentPeriod));
  baton_.drop();
  return at;
}

void CommunicatorImpl::set_asleep(bool asleep) noexcept {
  if (phase_.load(std::memory_order_acquire) != Phase::kReady) return;
  const bool needs = needs_engine();
  group_->board->set_asleep(group_->local_self(), asleep && needs);
  // Who holds the baton now wakes the engine thread if he leaves work.
  if (!asleep || !needs || !baton_.try_take()) return;
  if (group_->transport != nullptr) group_->transport->arm(runtime_.progress().poller());
  if (group_->messages_between != nullptr)
    group_->messages_between->arm(runtime_.progress().poller());
  baton_.drop();
}

}  // namespace smddp
