#include "device/stream_operation.h"

#include <utility>

namespace smddp {

StreamOperation::~StreamOperation() {
  if (event_ != nullptr) gpu_->destroy(event_);
}

void StreamOperation::set_enqueued(cuda::Stream stream) {
  Result<cuda::Event> event = gpu_->make_event();
  if (!event.ok()) return set_failed(event.status());
  event_ = event.value();
  if (Status recorded = gpu_->record(event_, stream); !recorded.ok()) return set_failed(recorded);
  if (member_ != nullptr) mark_ = member_->mark();
  State expected = State::kNew;
  state_.compare_exchange_strong(expected, State::kEnqueued);
}

void StreamOperation::set_failed(const Status& failure) {
  if (failing_.exchange(true)) return;
  failure_ = failure;
  state_.store(State::kFailed);
}

Status StreamOperation::progress() {
  const State state = state_.load(std::memory_order_acquire);
  if (state == State::kFailed) return failure_;
  if (member_ != nullptr) {
    if (Status looked = member_->look(); !looked.ok() && !looked.is_again()) return looked;
  }
  if (state == State::kNew) return Status::again();
  Status come = gpu_->query(event_);
  return come.ok() && member_ != nullptr ? member_->check_results(mark_) : come;
}

// A kernel may still wait, and write into the memory, until it is aborted.
void StreamOperation::end(const Status& outcome) noexcept {
  if (!outcome.ok() && member_ != nullptr) {
    member_->keep_until_abort(memory_);
    member_->keep_until_abort(waiting_);
  }
  waiting_.reset();
  ended_.store(true, std::memory_order_release);
}

}  // namespace smddp
