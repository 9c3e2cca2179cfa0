#include "device/nccl_member.h"

#include <sched.h>

#include <chrono>
#include <thread>
#include <utility>

#include "base/fork_guard.h"
#include "base/log.h"
#include "plan/traits.h"
#include "provider/nccl/calls.h"

namespace smddp {
namespace {

/// How the caller waits for NCCL, which goes on in a thread of its own: some tens of microseconds,
/// or, when it makes connections, for other ranks.
class Patience {
 public:
  void wait() {
    if (++turns_ < kYields) {
      ::sched_yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds{50});
    }
  }

 private:
  static constexpr int kYields = 200;
  int turns_ = 0;
};

}  // namespace

// Without the lock, which another thread may have held when a child was forked.
NcclMember::~NcclMember() { end(); }

/// Without what is gone already, and in a forked child without NCCL's threads.
void NcclMember::end() {
  if (communicator_ == nullptr) return;
  if (captured_ || in_forked_child()) communicator_->forget();
  const cuda::Gpu::Current current{*gpu_};
  communicator_.reset();
}

Status NcclMember::begin(const nccl::Membership& membership) {
  const cuda::Gpu::Current current{*gpu_};
  auto begun = nccl::Communicator::begin(library_, membership);
  if (!begun.ok()) return begun.status();
  const std::lock_guard lock{mutex_};
  communicator_ = std::move(begun).value();
  return {};
}

bool NcclMember::serves(const Request& request) const {
  const bool is_float8 =
      request.dtype == DType::kFloat8E4m3fn || request.dtype == DType::kFloat8E5m2;
  if (is_float8 && is_reducing(request.collective) && !adds_float8_) return false;
  return nccl::check_request(request, library_.version).ok();
}

Status NcclMember::look() {
  const std::unique_lock lock{mutex_, std::try_to_lock};
  if (!lock || communicator_ == nullptr) return Status::again();
  const cuda::Gpu::Current current{*gpu_};
  return communicator_->progress();
}

Status NcclMember::enqueue(std::span<const Request> requests, cuda::Stream stream,
                           const std::function<bool()>& is_over) {
  const std::lock_guard lock{mutex_};
  if (communicator_ == nullptr) return {StatusCode::kState, "this rank has left the group's NCCL"};
  const cuda::Gpu::Current current{*gpu_};
  Patience patience;
  Status begun = communicator_->enqueue(requests, static_cast<nccl::Stream>(stream));
  while (begun.is_again() && !is_over()) {
    patience.wait();
    begun = communicator_->progress();
  }
  if (!begun.is_again()) return begun;
  give_up();
  communicator_->abort();
  return communicator_->progress();
}

void NcclMember::set_captured() {
  const std::lock_guard lock{mutex_};
  captured_ = true;
}

void NcclMember::leave(Deadline deadline) {
  const std::lock_guard lock{mutex_};
  if (communicator_ == nullptr) return;
  if (captured_) {
    log_line(LogLevel::kInfo, "NCCL stays as it is, because a CUDA graph has captured operations");
    return end();
  }
  const cuda::Gpu::Current current{*gpu_};
  Patience patience;
  Status left = communicator_->leave();
  while (left.is_again() && !deadline.passed()) {
    patience.wait();
    left = communicator_->progress();
  }
  end();
}

void NcclMember::abort() {
  give_up();
  {
    const std::lock_guard lock{mutex_};
    const cuda::Gpu::Current current{*gpu_};
    if (captured_) return abort_behind_graphs();
    if (communicator_ != nullptr) communicator_->abort();
  }
  let_go();
}

/// Kernels end at once, but NCCL waits for the graphs: so in a thread of its own. What they may
/// write to is kept for good.
void NcclMember::abort_behind_graphs() {
  if (communicator_ == nullptr) return;
  const std::shared_ptr<nccl::Communicator> ended = std::move(communicator_);
  std::thread{[self = shared_from_this(), ended] {
    const cuda::Gpu::Current current{*self->gpu_};
    ended->abort();
  }}.detach();
}

}  // namespace smddp
