#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/csrc/distributed/c10d/Work.hpp>
#include <torch/extension.h>

#include "smddp/work.h"

#include "errors.h"
#include "work.h"

namespace smddp::torch_adapter {

/// What the engine and the handle of an operation on a GPU have in common; either may be gone
/// first.
class DeviceOutcome {
 public:
  explicit DeviceOutcome(c10::SmallVector<at::Tensor, 2> memory) : memory_(std::move(memory)) {}

  /// The GPU is done with it, or never will be. Of several requests the first failure counts, and
  /// the last success.
  void set(const Status& status, bool is_last) {
    const std::lock_guard lock{mutex_};
    if (status_.is_again() && (is_last || !status.ok())) status_ = status;
  }
  /// "Again" while the GPU is not done.
  Status get() const {
    const std::lock_guard lock{mutex_};
    return status_;
  }
  /// A stream that waits for the operation gets the memory next.
  void release_memory() {
    c10::SmallVector<at::Tensor, 2> released;  // destroyed without the lock
    const std::lock_guard lock{mutex_};
    released.swap(memory_);
  }

 private:
  mutable std::mutex mutex_;
  Status status_ = Status::again();
  c10::SmallVector<at::Tensor, 2> memory_;
};

/// c10d's handle of an operation on a stream. As with torch's NCCL backend, `wait` makes the
/// caller's current stream wait and not the caller, the future is complete at once and carries the
/// stream, and an error that is known is raised by whoever asks.
class SmddpDeviceWork final : public c10d::Work {
 public:
  SmddpDeviceWork(int rank, Call call, c10::Stream stream, std::shared_ptr<DeviceOutcome> outcome)
      : c10d::Work(rank, call.type, call.title, std::optional{std::move(call.inputs)}),
        stream_(stream),
        outcome_(std::move(outcome)),
        outputs_(std::move(call.outputs)) {}

  /// The operation, and the copies that belong to it, are on the stream. `is_last_step`: there are
  /// no copies, so that the operation's end is all that a waiter needs to know.
  void on_stream(smddp::Work native, bool is_current_stream, bool is_last_step) {
    native_ = std::move(native);
    is_last_step_ = is_last_step;
    if (!is_current_stream || !is_last_step) record_end();
    if (recordFunctionEndCallback_) {
      recordFunctionEndCallback_();
      recordFunctionEndCallback_ = nullptr;
    }
  }

  bool isCompleted() override {
    const Status status = outcome_->get();
    if (!status.is_again() && (is_last_step_ || !status.ok())) return true;
    const std::lock_guard lock{mutex_};
    record_end();
    return end_->query();
  }

  bool isSuccess() const override {
    const Status status = outcome_->get();
    return status.ok() || status.is_again();
  }

  std::exception_ptr exception() const override {
    const Status status = outcome_->get();
    return status.ok() || status.is_again() ? nullptr : to_exception(status);
  }

  bool wait(std::chrono::milliseconds timeout) override {
    throw_if_failed();
    blockCurrentStream();
    if (timeout == kNoTimeout) return true;
    const Unlocked unlocked;
    for (const Deadline deadline = Deadline::after(timeout); !isCompleted();) {
      if (deadline.passed()) {
        throw_if_error(Status{StatusCode::kTimeout,
                              process_prefix() + "wait(" + std::to_string(timeout.count()) +
                                  " ms) returned before the operation was over; it goes on"});
      }
      std::this_thread::sleep_for(std::chrono::microseconds{50});
    }
    throw_if_failed();
    return true;
  }

  void synchronize() override { wait(kNoTimeout); }

  void blockCurrentStream() override {
    const c10::impl::VirtualGuardImpl guard{stream_.device_type()};
    const c10::Stream current = guard.getStream(stream_.device());
    if (current != stream_) {
      const std::lock_guard lock{mutex_};
      record_end();
      end_->block(current);
    }
    outcome_->release_memory();
  }

  /// Of a receive: waits until it is over.
  int sourceRank() const override {
    const Unlocked unlocked;
    throw_if_error(wait_for(native_, Deadline::never()));
    return native_.source();
  }

  std::vector<at::Tensor> result() override {
    return outputs_.empty() ? std::vector<at::Tensor>{} : outputs_.front();
  }

  c10::intrusive_ptr<c10::ivalue::Future> getFuture() override {
    const std::exception_ptr failure = exception();  // needs the interpreter's lock for a moment
    const std::lock_guard lock{mutex_};
    if (future_) return future_;
    const auto tensors = c10::ListType::create(c10::TensorType::get());
    const bool nested = outputs_.size() > 1;
    future_ =
        c10::make_intrusive<c10::ivalue::Future>(nested ? c10::ListType::create(tensors) : tensors,
                                                 std::vector<c10::Device>{stream_.device()});
    if (failure) {
      future_->setError(failure);
    } else {
      const c10::StreamGuard guard{stream_};
      future_->markCompleted(nested ? c10::IValue(outputs_) : c10::IValue(result()));
    }
    return future_;
  }

 private:
  void throw_if_failed() const {
    if (const std::exception_ptr failure = exception()) std::rethrow_exception(failure);
  }

  // Only when somebody needs it: an operation on the caller's own stream mostly has no use for it.
  void record_end() {
    if (end_) return;
    end_.emplace(stream_.device_type());
    end_->record(stream_);
  }

  const c10::Stream stream_;
  const std::shared_ptr<DeviceOutcome> outcome_;
  const std::vector<std::vector<at::Tensor>> outputs_;
  smddp::Work native_{Status::again()};
  bool is_last_step_ = true;

  std::mutex mutex_;  ///< guards the next two
  std::optional<c10::Event> end_;
  c10::intrusive_ptr<c10::ivalue::Future> future_;
};

}  // namespace smddp::torch_adapter
