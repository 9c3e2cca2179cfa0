#include "smddp/communicator.h"

#include <utility>

#include "base/fork_guard.h"
#include "engine/communicator_impl.h"
#include "engine/runtime_impl.h"

namespace smddp {

Communicator::Communicator(std::shared_ptr<RuntimeImpl> runtime,
                           std::shared_ptr<CommunicatorImpl> impl)
    : runtime_(std::move(runtime)), impl_(std::move(impl)) {}

Communicator::~Communicator() { leave(impl_->config().leave_grace); }

Rank Communicator::rank() const { return impl_->options().rank; }
int Communicator::world() const { return impl_->options().world; }
const std::string& Communicator::name() const { return impl_->options().name; }
void Communicator::meet() {
  if (impl_->options().world > 1) impl_->meet();
}
Work Communicator::connect() { return impl_->connect(); }
Work Communicator::submit(Request request) { return impl_->submit(std::move(request)); }
Status Communicator::refusal() const { return impl_->refusal(); }
void Communicator::wake() { runtime_->progress().wake(); }
void Communicator::later(std::function<void()> task) { impl_->later(std::move(task)); }
void Communicator::set_waiting(bool waiting) { impl_->set_waiting(waiting); }
void Communicator::leave(std::chrono::milliseconds grace, const std::string& why) {
  impl_->leave(Deadline::after(grace), why);
}
std::string Communicator::transport() const { return impl_->transport(); }
int Communicator::hosts() const { return impl_->hosts(); }
Topology Communicator::topology() const { return impl_->topology(); }
ReachedMemory Communicator::memory_of(Rank rank) const { return impl_->memory_of(rank); }

// ---- Work ----

bool Work::is_completed() const { return state_ == nullptr || state_->is_done(); }

Status Work::status() const {
  if (state_ == nullptr) return done_;
  return state_->is_done() ? state_->outcome() : Status::again();
}

Rank Work::source() const {
  return state_ != nullptr && state_->is_done() ? state_->source : kAnyRank;
}

Status Work::wait(Deadline deadline) const {
  if (state_ == nullptr) return done_;
  // Whoever could end it lives in the parent.
  if (in_forked_child() && !state_->is_done()) {
    return Status{
        StatusCode::kState,
        "this process was forked while the operation was pending, and cannot wait for it"};
  }
  return state_->wait(deadline) ? state_->outcome() : Status::again();
}

}  // namespace smddp
