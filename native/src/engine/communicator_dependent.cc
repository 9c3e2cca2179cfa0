// What a communicator does for its dependent: somebody who waits for the members outside of
// operations.
#include "engine/communicator_impl.h"
#include "engine/runtime_impl.h"

namespace smddp {

void CommunicatorImpl::set_waiting(bool waiting) {
  if (dependent_waits_.exchange(waiting) != waiting && waiting) runtime_.progress().wake();
}

void CommunicatorImpl::ask_dependent() {
  if (ask_dependent_at_.is_bounded() && !ask_dependent_at_.passed()) return;
  ask_dependent_at_ = Deadline::after(kDependentPeriod);
  const auto dependent = options_.dependent.lock();
  if (dependent == nullptr) return;
  const Status overdue = dependent->look([this](Rank rank) { return group_->name_of(rank); });
  if (overdue.ok()) return;
  watch_->report(overdue.code(), overdue.message());
  fail(group_->board->fault().status);
}

// On a completion thread, as it may do anything.
void CommunicatorImpl::tell_dependent() {
  const auto dependent = options_.dependent.lock();
  if (dependent == nullptr) return;
  Request telling;
  telling.on_complete = [dependent](const Status& failure) { dependent->fail(failure); };
  deliver(std::make_shared<WorkState>(std::move(telling), Deadline::never()), failure_);
}

}  // namespace smddp
