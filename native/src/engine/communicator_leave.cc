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

// Leaving: what lies ready to be sent and to be called back, and a connection that is being made,
// get this long after the grace.
constexpr std::chrono::milliseconds kClosingTime{500};

void pause() { std::this_thread::sleep_for(std::chrono::microseconds{100}); }

}  // namespace

void CommunicatorImpl::announce_leave(const std::string& why) {
  if (in_forked_child()) return;
  leaving_.store(true);
  if (phase_.load() != Phase::kReady || has_awaited_sends()) return;  // `leave` does it later
  while (!baton_.try_take()) {
    if (closed_.load()) return;  // another thread has left meanwhile
    ::sched_yield();
  }
  say_goodbye(why);
  drop_baton();
}

void CommunicatorImpl::leave(Deadline deadline, const std::string& why) {
  if (in_forked_child() || left_.exchange(true)) return;
  leaving_.store(true);
  // What was submitted before the members met still runs once they have, and others may have
  // messages for each other, for which all have to come.
  const auto is_connecting = [this] {
    return phase_.load() == Phase::kConnecting && !connector_over_.load();
  };
  while (is_connecting() && !deadline.passed()) pause();
  meeting_.cancel();
  const Deadline decision = Deadline::after(kClosingTime);
  while (is_connecting() && !decision.passed()) pause();
  // What a GPU still has to bring would come after the goodbye, and nobody would wait for it.
  while (has_awaited_sends() && !deadline.passed()) pause();
  announce_leave(why);
  // An operation that its caller drives is not counted, but he holds the baton. Asked first,
  // because he counts it before he drops that.
  while ((baton_.is_taken() || is_busy()) && !deadline.passed()) pause();
  runtime_.progress().remove(*this);
  take_baton();
  if (phase_.load() == Phase::kReady) say_goodbye(why);  // the members have met only now
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
  const auto give_up = [this] {
    fail(Status{StatusCode::kAborted,
                "the group \"" + options_.name + "\" was left while the operation was pending"});
  };
  if (dependent_waits_.exchange(false) && !failed_.load()) give_up();
  while (pending_.load() > (telling_until_ ? 1 : 0) || has_messages()) {
    if (!failed_.load()) give_up();
    const bool took = take_messages();
    if (!start_next() && !took) ::sched_yield();
  }
}

// Operations that this rank will take part in: those it has started, and those that are queued. One
// that another thread submits at this very moment may be left out: it fails then, here and there.
std::uint64_t CommunicatorImpl::submitted() const {
  const int not_queued = (current_ != nullptr ? 1 : 0) + (telling_until_ ? 1 : 0);
  return sequence_ + static_cast<std::uint64_t>(pending_.load() - not_queued);
}

void CommunicatorImpl::say_goodbye(const std::string& why) {
  if (std::exchange(said_goodbye_, true)) return;
  const Notice leaving{.kind = Notice::Kind::kLeft, .operations = submitted(), .text = why};
  group_->board->set_left(options_.rank, leaving.operations, leaving.text);
  group_->bell->ring();
  watch_->broadcast(leaving);
  if (mailbox_ && !failed_.load()) {
    take_messages();
    mailbox_->say_goodbye(leaving);
  }
}

// A rank that leaves waits until what it sent lies here, also when there is nothing else to do
// here.
void CommunicatorImpl::serve_peers() {
  peers_wait_ = false;
  if (phase_.load(std::memory_order_acquire) != Phase::kReady) return;
  for (Transport* transport : {group_->transport.get(), group_->messages_between.get()})
    peers_wait_ |= transport != nullptr && transport->serve();
}

void CommunicatorImpl::close_group(Deadline deadline) {
  if (group_ == nullptr) return;
  if (!failed_.load()) {
    group_->board->set_finished(options_.rank);
    watch_->broadcast(Notice{.kind = Notice::Kind::kFinished});
  }
  // Until it lies at the peers: what they still send would make the kernel drop the rest.
  const auto is_delivered = [this] {
    const auto has_delivered = [](const auto& transport) {
      return transport == nullptr || transport->delivered();
    };
    return has_delivered(group_->transport) && has_delivered(group_->messages_between) &&
           (failed_.load() || has_delivered(group_->messages_here));
  };
  while (!is_delivered() && !deadline.passed()) {
    bool moved = group_->transport && group_->transport->progress(*this);
    moved |= mailbox_ && mailbox_->progress();
    if (!moved) pause();
  }
  for (Transport* transport : {group_->transport.get(), group_->messages_between.get()}) {
    if (transport != nullptr) transport->unwatch(runtime_.progress().poller());
  }
  message_watch_.reset();
  mailbox_.reset();
  execution_.reset();
  watch_.reset();
  group_.reset();
}

}  // namespace smddp
