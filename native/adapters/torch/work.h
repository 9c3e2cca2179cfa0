#pragma once

#include <chrono>
#include <functional>
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
#include "unlocked.h"

namespace smddp::torch_adapter {

/// What one torch.distributed call needs besides the engine's request.
struct Call {
  c10d::OpType type = c10d::OpType::UNKNOWN;
  const char* title = nullptr;                   ///< for the profiler: "smddp:all_reduce"
  std::vector<at::Tensor> inputs;                ///< for the profiler
  std::vector<std::vector<at::Tensor>> outputs;  ///< what the future holds
  std::function<void()> copy_out;             ///< from a flat buffer to the outputs; may be empty
  c10::SmallVector<at::Tensor, 2> buffers{};  ///< what the engine reads and writes
};

/// c10d's handle of one operation. Completed by the engine through `complete`; waited for by
/// anybody.
class SmddpWork final : public c10d::Work {
 public:
  SmddpWork(int rank, Call call)
      : c10d::Work(rank, call.type, call.title, std::optional{std::move(call.inputs)}),
        call_(std::move(call)) {}

  /// The engine's handle, once, right after the request was submitted.
  void attach(smddp::Work native) {
    const std::lock_guard lock{attach_mutex_};
    native_ = std::move(native);
  }

  /// The operation is over; on the completion thread or in the caller's thread inside `submit`.
  void complete(const Status& status) {
    const std::exception_ptr failure = settle(status);
    c10d::Work::finish(failure);
    c10::intrusive_ptr<c10::ivalue::Future> future;
    {
      const std::lock_guard lock{future_mutex_};
      settled_ = true;
      failure_ = failure;
      future = future_;
    }
    // Without the lock: callbacks run inside, and may ask for this work's future.
    if (future) mark(*future);
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
    const smddp::Work native_work = native();
    for (;;) {
      const Status status = native_work.wait(deadline);
      if (!status.is_again()) {
        if (const std::exception_ptr failure = settle(status)) std::rethrow_exception(failure);
        return true;
      }
      run_signal_handlers();
      if (deadline.passed()) {
        throw_if_error(Status{StatusCode::kTimeout,
                              process_prefix() + "wait(" + std::to_string(timeout.count()) +
                                  " ms) returned before the operation was over; it goes on"});
      }
    }
  }

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

  // Outputs are filled once, by whoever sees the end first.
  std::exception_ptr settle(const Status& status) {
    if (!status.ok()) return to_exception(status);
    // Only where it is needed: call_once makes a system call.
    if (call_.copy_out) std::call_once(copied_, call_.copy_out);
    return nullptr;
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

  static void run_signal_handlers() {
    const py::gil_scoped_acquire lock;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  }

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
