#pragma once

#include <sched.h>

#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <c10/util/SmallVector.h>
#include <torch/csrc/distributed/c10d/Work.hpp>
#include <torch/extension.h>

#include "smddp/work.h"

#include "errors.h"
#include "staging.h"
#include "unlocked.h"

namespace smddp::torch_adapter {

/// What one torch.distributed call needs besides the engine's request.
struct Call {
  c10d::OpType type = c10d::OpType::UNKNOWN;
  const char* title = nullptr;                   ///< for the profiler: "smddp:all_reduce"
  std::vector<at::Tensor> inputs;                ///< for the profiler
  std::vector<std::vector<at::Tensor>> outputs;  ///< what the future holds
  Copies copies;                                 ///< to the outputs, when the operation is over
  c10::SmallVector<at::Tensor, 2> buffers;       ///< what the engine reads and writes
  std::chrono::milliseconds timeout{0};          ///< told when it has passed; 0: not told
};

inline void run_signal_handlers() {
  const py::gil_scoped_acquire lock;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

/// Waits and lets signal handlers run; without the interpreter's lock. "Again" when the deadline
/// passes first.
inline Status wait_for(const smddp::Work& native, Deadline deadline) {
  for (;;) {
    Status status = native.wait(deadline);
    if (!status.is_again()) return status;
    run_signal_handlers();
    if (deadline.passed()) return status;
  }
}

/// c10d's handle of one operation. Completed by the engine through `complete`; waited for by
/// anybody.
class SmddpWork final : public c10d::Work {
 public:
  SmddpWork(int rank, Call call)
      : c10d::Work(rank, call.type, call.title, std::optional{std::move(call.inputs)}),
        profiled_(recordFunctionEndCallback_ != nullptr),
        call_(std::move(call)) {}

  /// The engine's handle, once, right after the request was submitted.
  void attach(smddp::Work native) {
    const std::lock_guard lock{attach_mutex_};
    native_ = std::move(native);
  }

  /// The operation is over; on the completion thread or in the caller's thread inside `submit`.
  void complete(const Status& status) {
    c10d::Work::finish(settle(status));
    call_.buffers.clear();
  }

  bool isCompleted() override {
    const Status status = native().status();
    if (status.is_again()) return false;
    settle(status);
    return true;
  }

  bool isSuccess() const override {
    const Status status = native().status();
    return status.ok();
  }

  std::exception_ptr exception() const override {
    const Status status = native().status();
    return status.ok() || status.is_again() ? nullptr : to_exception(status);
  }

  bool wait(std::chrono::milliseconds timeout) override {
    const Deadline deadline = timeout == kNoTimeout ? Deadline::never() : Deadline::after(timeout);
    const Status status = wait_for(native(), deadline);
    if (status.is_again()) {
      throw_if_error(Status{StatusCode::kTimeout,
                            process_prefix() + "wait(" + std::to_string(timeout.count()) +
                                " ms) returned before the operation was over; it goes on"});
    }
    if (const std::exception_ptr failure = settle(status)) std::rethrow_exception(failure);
    return true;
  }

  /// Of a receive that is over: who sent.
  int sourceRank() const override { return native().source(); }

  void synchronize() override {
    const Unlocked unlocked;
    wait(kNoTimeout);
  }

  std::vector<at::Tensor> result() override {
    return call_.outputs.empty() ? std::vector<at::Tensor>{} : call_.outputs.front();
  }

  c10::intrusive_ptr<c10::ivalue::Future> getFuture() override {
    const std::lock_guard lock{future_mutex_};
    if (!future_) {
      const auto tensors = c10::ListType::create(c10::TensorType::get());
      const bool nested = call_.outputs.size() > 1;
      future_ = c10::make_intrusive<c10::ivalue::Future>(nested ? c10::ListType::create(tensors)
                                                                : tensors);
      if (settled_) mark(*future_);
    }
    return future_;
  }

 private:
  smddp::Work native() const {
    const std::lock_guard lock{attach_mutex_};
    return native_;
  }

  // Outputs are filled once, by whoever sees the end first, and from then on the future is
  // complete.
  std::exception_ptr settle(const Status& status) {
    end_profile();
    std::exception_ptr failure;
    if (!status.ok()) {
      failure = to_exception(explained(status));
    } else if (!call_.copies.empty()) {
      // Only where it is needed: call_once makes a system call.
      std::call_once(copied_, [this] {
        for (const Copy& copy : call_.copies) copy.run();
      });
    }
    settle_future(failure);
    return failure;
  }

  void settle_future(const std::exception_ptr& failure) {
    c10::intrusive_ptr<c10::ivalue::Future> future;
    bool is_first = false;
    {
      const std::lock_guard lock{future_mutex_};
      is_first = !std::exchange(settled_, true);
      if (is_first) failure_ = failure;
      future = future_;
    }
    if (!future) return;
    // Without the lock: callbacks run inside, and may ask for this work's future. They find it
    // completed, as does everybody who has waited.
    if (is_first) mark(*future);
    while (!future->completed()) ::sched_yield();
  }

  Status explained(const Status& status) const {
    if (status.code() != StatusCode::kTimeout || call_.timeout.count() == 0) return status;
    return {status.code(), status.message() + " (the timeout is " +
                               std::to_string(call_.timeout.count()) + " ms on this rank)"};
  }

  // Before any waiter returns: it may stop the profiler, which frees what the callback writes to.
  void end_profile() {
    if (!profiled_) return;
    std::call_once(profile_ended_, [this] {
      recordFunctionEndCallback_();
      recordFunctionEndCallback_ = nullptr;
    });
  }

  void mark(c10::ivalue::Future& future) {
    if (failure_) {
      future.setError(failure_);
    } else if (call_.outputs.size() > 1) {
      future.markCompleted(c10::IValue(call_.outputs));
    } else {
      future.markCompleted(c10::IValue(result()));
    }
  }

  const bool profiled_;
  std::once_flag profile_ended_;

  Call call_;
  mutable std::mutex attach_mutex_;
  smddp::Work native_{Status::again()};
  std::once_flag copied_;

  std::mutex future_mutex_;
  c10::intrusive_ptr<c10::ivalue::Future> future_;
  bool settled_ = false;
  std::exception_ptr failure_;
};

}  // namespace smddp::torch_adapter
