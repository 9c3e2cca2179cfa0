// What a communicator does for its dependent: somebody who waits for the members outside of
// operations.
#include <utility>
#include <vector>

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
  const MembersView members{.name_of = [this](Rank rank) { return group_->name_of(rank); },
                            .late = [this] { return late(); }};
  const Status overdue = dependent->look(members);
  if (overdue.ok()) return;
  watch_->report(overdue.code(), overdue.message());
  fail(group_->board->fault().status);
}

std::vector<Rank> CommunicatorImpl::late() const {
  std::vector<Rank> ranks;
  for (Rank rank = 0; running_ && rank < options_.world; ++rank) {
    if (group_->board->started(rank) < sequence_) ranks.push_back(rank);
  }
  return ranks;
}

// It may do anything.
void CommunicatorImpl::tell_dependent() {
  auto dependent = options_.dependent.lock();
  // The reference moves: the last one may not be dropped here.
  if (dependent != nullptr)
    later([dependent = std::move(dependent), why = failure_] { dependent->fail(why); });
}

void CommunicatorImpl::later(std::function<void()> task) {
  Request request;
  request.on_complete = [task = std::move(task)](const Status&) { task(); };
  deliver(std::make_shared<WorkState>(std::move(request), Deadline::never()), {});
}

}  // namespace smddp
