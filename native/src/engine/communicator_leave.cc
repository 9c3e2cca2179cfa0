// How a rank leaves a group in order: pending operations get their time, the others are told, and
// nothing stays without an end.
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "base/fork_guard.h"
#include "engine/communicator_impl.h"
#include "engine/runtime_impl.h"

namespace smddp {
namespace {

// Leaving: what lies ready to be sent and to be called back gets this long after the grace.
constexpr std::chrono::milliseconds kClosingTime{500};

void pause() { std::this_thread::sleep_for(std::chrono::microseconds{100}); }

}  // namespace

void CommunicatorImpl::announce_leave() {
  if (in_forked_child()) return;
  leaving_.store(true);
  if (phase_.load() != Phase::kReady) return;
  while (!baton_.try_take()) {
    if (closed_.load()) return;  // another thread has left meanwhile
    ::sched_yield();
  }
  say_goodbye();
  drop_baton();
}

void CommunicatorImpl::leave(Deadline deadline) {
  if (in_forked_child() || left_.exchange(true)) return;
  leaving_.store(true);
  // What was submitted before the members met still runs once they have.
  while (phase_.load() == Phase::kConnecting && is_busy() && !failed_.load() && !deadline.passed())
    pause();
  announce_leave();
  while (is_busy() && !deadline.passed()) pause();
  runtime_.progress().remove(*this);
  take_baton();
  closed_.store(true, std::memory_order_seq_cst);
  end_pending();
  const Deadline closing = std::max(deadline, Deadline::after(kClosingTime));
  close_group(closing);
  // Callbacks may need an interpreter that is about to end.
  runtime_.completions().drain(closing);
  // The baton is never dropped: nobody may touch the group any more.
}

// ---- baton ----

// No operation stays without an end, not even one that another thread is queueing at this moment.
void CommunicatorImpl::end_pending() {
  while (pending_.load() > (telling_until_ ? 1 : 0)) {
    if (!failed_.load()) {
      fail(Status{StatusCode::kAborted,
                  "the group \"" + options_.name + "\" was left while the operation was pending"});
    }
    if (!start_next()) ::sched_yield();
  }
}

void CommunicatorImpl::say_goodbye() {
  if (std::exchange(said_goodbye_, true)) return;
  group_->board->set_left(options_.rank, submitted_.load());
  group_->bell->ring();
  watch_->broadcast(Notice{.kind = Notice::Kind::kLeft, .operations = submitted_.load()});
}

void CommunicatorImpl::close_group(Deadline deadline) {
  if (group_ == nullptr) return;
  if (!failed_.load()) {
    group_->board->set_finished(options_.rank);
    watch_->broadcast(Notice{.kind = Notice::Kind::kFinished});
  }
  if (Transport* transport = group_->transport.get()) {
    // Until it lies at the peers: what they still send would make the kernel drop the rest.
    while (!transport->delivered() && !deadline.passed()) {
      if (!transport->progress(*this)) pause();
    }
    transport->unwatch(runtime_.progress().poller());
  }
  execution_.reset();
  watch_.reset();
  group_.reset();
}

}  // namespace smddp
