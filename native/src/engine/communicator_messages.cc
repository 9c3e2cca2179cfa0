// Messages between two ranks: submitted like collectives, and driven beside them.
#include <sched.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "engine/communicator_impl.h"
#include "engine/device_part.h"
#include "engine/runtime_impl.h"

namespace smddp {
namespace {

bool is_awaited_send(const Request& request) {
  return request.message == MessageSide::kSend && request.device_part != nullptr;
}

}  // namespace

Work CommunicatorImpl::submit_message(Request&& request) {
  messages_pending_.fetch_add(1, std::memory_order_seq_cst);
  // Either `leave` sees the count and waits for the push, or we see that it is too late.
  if (closed_.load(std::memory_order_seq_cst)) {
    messages_pending_.fetch_sub(1);
    return finish_at_once(request, refusal());
  }
  if (is_awaited_send(request)) sends_awaited_.fetch_add(1);
  const Deadline deadline = Deadline::after(request.timeout);
  auto work = std::make_shared<WorkState>(std::move(request), deadline);
  if (drive_message(work)) {
    if (!work->is_done()) runtime_.completions().note_start();
    return Work{std::move(work)};
  }
  work->self = work;
  messages_queued_.fetch_add(1, std::memory_order_seq_cst);
  message_queue_.push(work.get());
  runtime_.progress().wake();
  runtime_.completions().note_start();
  return Work{std::move(work)};
}

// The caller becomes the baton's holder if it is free, because a hop to another thread costs more
// than a short message. If the message is not over then and there, only a synchronous caller goes
// on for a while; in the end the engine thread takes over, as the other rank may come late.
bool CommunicatorImpl::drive_message(const std::shared_ptr<WorkState>& work) {
  if (phase_.load(std::memory_order_acquire) != Phase::kReady || !baton_.try_take()) return false;
  take_messages();
  // One that this thread has queued before may still be on its way into the queue; a failed group
  // ends what is queued.
  const bool is_send = work->request.message == MessageSide::kSend;
  const bool waits = is_send && (work->request.device_part != nullptr || !awaited_sends_.empty());
  if (messages_queued_.load(std::memory_order_seq_cst) != 0 || failed_.load() || waits) {
    drop_baton();
    return false;
  }
  driven_message_ = work.get();
  mailbox_->post(work);
  step();
  if (work->request.synchronous) wait_for_message(*work);
  driven_message_ = nullptr;
  const bool is_over = work->is_done();
  drop_baton();
  if (!is_over) return true;
  // The callback holds on to the handle, which holds on to the operation.
  if (const auto on_complete = std::exchange(work->request.on_complete, nullptr))
    on_complete(work->outcome());
  work->request.device_part.reset();
  work->request.keep_alive.reset();
  return true;
}

// ---- baton ----

void CommunicatorImpl::wait_for_message(const WorkState& work) {
  bool told = !work.request.before_waiting;
  for (InlineWait wait; !work.is_done() && !wait.exhausted();) {
    if (step()) {
      wait.reset();
      continue;
    }
    if (wait.is_long(false) && !std::exchange(told, true)) work.request.before_waiting();
    if (wait.step(false, nullptr)) inspect();
  }
}

bool CommunicatorImpl::take_messages() {
  bool took = false;
  while (WorkState* const next = message_queue_.try_pop()) {
    messages_queued_.fetch_sub(1, std::memory_order_seq_cst);
    std::shared_ptr<WorkState> work = std::move(next->self);
    took = true;
    const bool is_send = work->request.message == MessageSide::kSend;
    if (failed_.load()) {
      end_message(std::move(work), failure_);
    } else if (is_send && (work->request.device_part != nullptr || !awaited_sends_.empty())) {
      awaited_sends_.push_back(std::move(work));
    } else {
      mailbox_->post(std::move(work));
    }
  }
  if (!awaited_sends_.empty()) took |= post_sends();
  return took;
}

// Sends to one rank keep their order, also behind one whose data a GPU still has to bring.
bool CommunicatorImpl::post_sends() {
  std::vector<Rank> held;
  bool moved = false;
  for (auto& work : std::exchange(awaited_sends_, {})) {
    const Rank peer = work->request.peer;
    const bool in_turn = std::find(held.begin(), held.end(), peer) == held.end();
    const Status ready = readiness(*work, in_turn);
    if (failed_.load()) {
      end_message(std::move(work), failure_);
    } else if (ready.is_again()) {
      held.push_back(peer);
      awaited_sends_.push_back(std::move(work));
    } else if (ready.ok()) {
      if (is_awaited_send(work->request)) sends_awaited_.fetch_sub(1);
      mailbox_->post(std::move(work));
      moved = true;
    } else {
      fail(ready);
      end_message(std::move(work), failure_);
    }
  }
  return moved;
}

/// Of a send that is `in_turn`, or behind another that is not ready.
Status CommunicatorImpl::readiness(const WorkState& send, bool in_turn) const {
  const auto& part = send.request.device_part;
  Status ready = in_turn ? Status{} : Status::again();
  if (in_turn && part != nullptr) ready = part->progress();
  if (!ready.is_again() || !send.deadline.passed()) return ready;
  return {StatusCode::kTimeout,
          mailbox_->describe(send.request) +
              " timed out: the stream of this rank's GPU has not come to it, or to one before it"};
}

bool CommunicatorImpl::advance_messages() {
  bool moved = take_messages();
  if (failed_.load()) return moved;
  // What ranks of other hosts have to tell; while a collective runs, that one listens. Before the
  // messages: a rank that fails says so before it closes its connections.
  if (!running_ && group_->transport != nullptr) moved |= group_->transport->progress(*this);
  if (failed_.load()) return true;
  moved |= mailbox_->progress();
  if (mailbox_->fault() && !group_->board->has_fault()) watch_->on_fault(*mailbox_->fault());
  for (auto& work : mailbox_->take_ended()) end_message(std::move(work), Status{});
  if (Status why = mailbox_->failure(); !why.ok() && !failed_.load()) {
    watch_->report(why.code(), why.message());
    fail(why);
  }
  return moved;
}

void CommunicatorImpl::end_message(std::shared_ptr<WorkState> work, const Status& outcome) {
  messages_pending_.fetch_sub(1);
  if (work.get() == driven_message_) {
    work->finish(outcome);
  } else {
    deliver(std::move(work), outcome);
  }
}

void CommunicatorImpl::inspect_messages() {
  if (!group_->board->has_fault()) message_watch_->inspect();
  if (const Status fault = group_->board->fault().status; !fault.ok()) fail(fault);
}

}  // namespace smddp
