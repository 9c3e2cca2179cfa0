#pragma once

#include <tensorflow/core/framework/device_base.h>
#include <tensorflow/core/framework/op_kernel.h>
#include <xla/stream_executor/stream.h>
#include <xla/stream_executor/stream_executor.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "smddp/keyed_communicator.h"
#include "smddp/keyed_device_group.h"

#include "convert.h"

namespace smddp::tf_adapter {

/// Copies from tensors to one, and back, around a collective.
struct Copies {
  tensorflow::Tensor bucket{};
  std::vector<DeviceCopy> before{};
  std::vector<DeviceCopy> behind{};
};

/// One execution of an op, from its kernel's start to its end on another thread.
class Call : public std::enable_shared_from_this<Call> {
 public:
  Call(tensorflow::OpKernelContext* context, tensorflow::AsyncOpKernel::DoneCallback done,
       std::shared_ptr<KeyedCommunicator> group, std::shared_ptr<KeyedDeviceGroup> gpus)
      : context_(context),
        done_(std::move(done)),
        group_(std::move(group)),
        gpus_(std::move(gpus)) {}

  tensorflow::OpKernelContext& context() { return *context_; }
  std::size_t world() const { return static_cast<std::size_t>(group_->world()); }
  std::size_t rank() const { return static_cast<std::size_t>(group_->rank()); }
  /// Whether the op's tensors are in a GPU's memory, but for those that its kernel wants on the
  /// host.
  bool is_on_gpu() const { return stream() != nullptr; }

  /// Starts a collective on host memory and, when it has succeeded, goes on with `then`, which
  /// calls `end` or `submit` in its turn. A failure ends the call.
  void submit(const std::string& key, Request request, std::function<void()> then) {
    request.on_complete = going_on_with(std::move(then));
    group_->submit(key, std::move(request));
  }

  /// The same on the op's tensors, wherever they are. Copies there are where the op is on a GPU.
  void submit_tensors(const std::string& key, Request request, std::function<void()> then,
                      Copies copies = {}) {
    if (!is_on_gpu()) return submit(key, std::move(request), std::move(then));
    const auto kept = std::make_shared<std::vector<tensorflow::Tensor>>(tensors());
    kept->push_back(std::move(copies.bucket));
    request.keep_alive = kept;
    request.on_complete = [kept, go_on = going_on_with(std::move(then))](const Status& status) {
      // So that the graph may use the memory again. After a failure the GPU may still be at it.
      if (status.ok()) kept->clear();
      go_on(status);
    };
    DeviceRequest what;
    what.request = std::move(request);
    what.ordinal = ordinal();
    what.after = stream()->platform_specific_handle().stream;
    what.before = std::move(copies.before);
    what.behind = std::move(copies.behind);
    gpus_->submit(key, std::move(what));
  }

  void end(const absl::Status& status = absl::OkStatus()) {
    if (!status.ok()) context_->SetStatus(status);
    // The graph may end with this call, and the context with it.
    const auto done = std::move(done_);
    done();
  }

 private:
  stream_executor::Stream* stream() const {
    const tensorflow::DeviceContext* const device = context_->op_device_context();
    return device == nullptr ? nullptr : device->stream();
  }

  /// The op's, as far as it has them.
  std::vector<tensorflow::Tensor> tensors() const {
    std::vector<tensorflow::Tensor> all;
    for (int i = 0; i < context_->num_inputs(); ++i) all.push_back(context_->input(i));
    for (int i = 0; i < context_->num_outputs(); ++i) {
      if (const tensorflow::Tensor* const output = context_->mutable_output(i))
        all.push_back(*output);
    }
    return all;
  }

  /// CUDA's number of the GPU. A plug-in's executor knows none; TensorFlow's own is the same as
  /// long as its user has hidden no GPU from it.
  int ordinal() const {
    const int ordinal = stream()->parent()->device_ordinal();
    return ordinal >= 0 ? ordinal
                        : context_->device()->tensorflow_accelerator_device_info()->gpu_id;
  }

  std::function<void(const Status&)> going_on_with(std::function<void()> then) {
    return [self = shared_from_this(), then = std::move(then)](const Status& status) {
      // Not on the completion thread: what comes next may be a large part of the graph.
      self->context_->device()->tensorflow_cpu_worker_threads()->workers->Schedule(
          [self, then, status] {
            if (!status.ok()) return self->end(to_status(status));
            then();
          });
    };
  }

  tensorflow::OpKernelContext* const context_;
  tensorflow::AsyncOpKernel::DoneCallback done_;
  const std::shared_ptr<KeyedCommunicator> group_;
  const std::shared_ptr<KeyedDeviceGroup> gpus_;
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
    auto gpus = KeyedDeviceGroup::of_process();
    OP_REQUIRES_ASYNC(
        context, group != nullptr && gpus != nullptr,
        absl::FailedPreconditionError(
            "SMDDPStateError: smddp is not initialised; call init() before this op runs"),
        done);
    start(std::make_shared<Call>(context, std::move(done), std::move(group), std::move(gpus)));
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
