// What the engine thread asks of a communicator around its sleep.
#include <algorithm>

#include "engine/communicator_impl.h"
#include "engine/runtime_impl.h"

namespace smddp {

void CommunicatorImpl::look_around() {
  // A synchronous call that meets a taken baton goes through the engine thread, so it is taken only
  // for something.
  if (!is_busy() && !is_asked()) return;
  if (!baton_.try_take()) return;
  if (is_busy()) {
    inspect();
  } else {
    serve_peers();
  }
  baton_.drop();
}

/// Whether a peer may wait for something while nothing is going on here.
bool CommunicatorImpl::is_asked() const noexcept {
  if (phase_.load(std::memory_order_acquire) != Phase::kReady) return false;
  const auto asked = [](const Transport* transport) {
    return transport != nullptr && transport->is_asked();
  };
  return asked(group_->transport.get()) || asked(group_->messages_between.get());
}

// A rank that leaves waits until what it sent lies here, also when there is nothing else to do
// here.
void CommunicatorImpl::serve_peers() {
  for (Transport* transport : {group_->transport.get(), group_->messages_between.get()}) {
    if (transport == nullptr) continue;
    transport->serve();
    if (transport->is_asked()) transport->arm(runtime_.progress().poller());
  }
}

Deadline CommunicatorImpl::next_look() {
  if (!is_busy() || !baton_.try_take()) return Deadline::never();
  Deadline at = running_ ? watch_->next_look() : Deadline::never();
  if (message_watch_ && has_messages()) at = std::min(at, message_watch_->next_look());
  if (dependent_waits_.load()) at = std::min(at, Deadline::after(kDependentPeriod));
  baton_.drop();
  return at;
}

void CommunicatorImpl::set_asleep(bool asleep) noexcept {
  if (phase_.load(std::memory_order_acquire) != Phase::kReady) return;
  const bool needs = needs_engine();
  group_->board->set_asleep(group_->local_self(), asleep && needs);
  if (!asleep) return;
  Poller& poller = runtime_.progress().poller();
  // Who holds the baton now wakes the engine thread if he leaves work.
  const bool waits = needs && baton_.try_take();
  for (Transport* transport : {group_->transport.get(), group_->messages_between.get()}) {
    if (transport == nullptr) continue;
    if (waits) {
      transport->arm(poller);
    } else {
      transport->arm_for_service(poller);
    }
  }
  if (waits) baton_.drop();
}

}  // namespace smddp
