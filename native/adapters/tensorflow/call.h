#pragma once

#include <tensorflow/core/framework/device_base.h>
#include <tensorflow/core/framework/op_kernel.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "smddp/keyed_communicator.h"

#include "convert.h"

namespace smddp::tf_adapter {

/// One execution of an op, from its kernel's start to its end on another thread.
class Call : public std::enable_shared_from_this<Call> {
 public:
  Call(tensorflow::OpKernelContext* context, tensorflow::AsyncOpKernel::DoneCallback done,
       std::shared_ptr<KeyedCommunicator> group)
      : context_(context), done_(std::move(done)), group_(std::move(group)) {}

  tensorflow::OpKernelContext& context() { return *context_; }
  KeyedCommunicator& group() { return *group_; }
  std::size_t world() const { return static_cast<std::size_t>(group_->world()); }
  std::size_t rank() const { return static_cast<std::size_t>(group_->rank()); }

  /// Starts a collective and, when it has succeeded, goes on with `then`, which calls `end` or
  /// `submit` in its turn. A failure ends the call.
  void submit(const std::string& key, Request request, std::function<void()> then) {
    request.on_complete = [self = shared_from_this(),
                           then = std::move(then)](const Status& status) {
      // Not on the completion thread: what comes next may be a large part of the graph.
      self->context_->device()->tensorflow_cpu_worker_threads()->workers->Schedule(
          [self, then, status] {
            if (!status.ok()) return self->end(to_status(status));
            then();
          });
    };
    group_->submit(key, std::move(request));
  }

  void end(const absl::Status& status = absl::OkStatus()) {
    if (!status.ok()) context_->SetStatus(status);
    // The graph may end with this call, and the context with it.
    const auto done = std::move(done_);
    done();
  }

 private:
  tensorflow::OpKernelContext* const context_;
  tensorflow::AsyncOpKernel::DoneCallback done_;
  const std::shared_ptr<KeyedCommunicator> group_;
};

/// What all ops have: a key, names of what they are about, and a group to run in.
class CollectiveOp : public tensorflow::AsyncOpKernel {
 public:
  explicit CollectiveOp(tensorflow::OpKernelConstruction* construction)
      : AsyncOpKernel(construction) {
    OP_REQUIRES_OK(construction, construction->GetAttr("key", &key_));
    std::vector<std::string> names;
    OP_REQUIRES_OK(construction, construction->GetAttr("names", &names));
    for (const std::string& name : names) label_ += (label_.empty() ? "" : ", ") + name;
    if (label_.empty()) label_ = key_;
  }

  void ComputeAsync(tensorflow::OpKernelContext* context, DoneCallback done) final {
    auto group = KeyedCommunicator::of_process();
    OP_REQUIRES_ASYNC(
        context, group != nullptr,
        absl::FailedPreconditionError(
            "SMDDPStateError: smddp is not initialised; call init() before this op runs"),
        done);
    start(std::make_shared<Call>(context, std::move(done), std::move(group)));
  }

 protected:
  virtual void start(const std::shared_ptr<Call>& call) = 0;
  const std::string& key() const { return key_; }
  /// What errors call it.
  const std::string& label() const { return label_; }

 private:
  std::string key_;
  std::string label_;
};

inline std::byte* bytes_of(const tensorflow::Tensor& tensor) {
  return static_cast<std::byte*>(tensor.data());
}

inline std::size_t elements_of(const tensorflow::Tensor& tensor) {
  return static_cast<std::size_t>(tensor.NumElements());
}

}  // namespace smddp::tf_adapter
