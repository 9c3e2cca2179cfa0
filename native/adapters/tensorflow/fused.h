#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "bucket.h"
#include "call.h"

namespace smddp::tf_adapter {

/// A collective over several tensors of one dtype whose results have the tensors' shapes.
class FusedOp : public CollectiveOp {
 public:
  using CollectiveOp::CollectiveOp;

 protected:
  /// What all executions have in common.
  virtual Request request() const = 0;

  void start(const std::shared_ptr<Call>& call) final {
    tensorflow::OpInputList inputs;
    OP_REQUIRES_OK_ASYNC(&call->context(), call->context().input_list("tensors", &inputs),
                         [call] { call->end(); });
    Request operation = request();
    operation.name = label();
    if (inputs.size() == 0) return call->end();
    operation.dtype = to_dtype(inputs[0].dtype());
    if (inputs.size() == 1) {
      run_alone(call, inputs[0], std::move(operation));
    } else if (call->is_on_gpu()) {
      run_fused_on_gpu(call, inputs, std::move(operation));
    } else {
      run_fused(call, inputs, std::move(operation));
    }
  }

 private:
  void run_alone(const std::shared_ptr<Call>& call, const tensorflow::Tensor& input,
                 Request operation) {
    tensorflow::Tensor* output = nullptr;
    const absl::Status allocated =
        call->context().forward_input_or_allocate_output({0}, 0, input.shape(), &output);
    if (!allocated.ok()) return call->end(allocated);
    operation.in = input.data();
    operation.out = output->data();
    operation.count = elements_of(input);
    call->submit_tensors(key(), std::move(operation), [call] { call->end(); });
  }

  void run_fused(const std::shared_ptr<Call>& call, const tensorflow::OpInputList& inputs,
                 Request operation) {
    std::size_t bytes = 0;
    for (const tensorflow::Tensor& input : inputs) {
      bytes += input.TotalBytes();
      operation.count += elements_of(input);
    }
    std::shared_ptr<Bucket> bucket = buckets_.take(bytes);
    bucket->fill(inputs);
    operation.in = operation.out = bucket->data();
    call->submit(key(), std::move(operation), [this, call, bucket] { finish(*call, bucket); });
  }

  /// The stream fills the bucket, and empties it.
  void run_fused_on_gpu(const std::shared_ptr<Call>& call, const tensorflow::OpInputList& inputs,
                        Request operation) {
    std::int64_t bytes = 0;
    for (const tensorflow::Tensor& input : inputs) {
      bytes += static_cast<std::int64_t>(input.TotalBytes());
      operation.count += elements_of(input);
    }
    Copies copies;
    absl::Status status =
        call->context().allocate_temp(tensorflow::DT_UINT8, {bytes}, &copies.bucket);
    std::byte* place = bytes_of(copies.bucket);
    for (int i = 0; i < inputs.size() && status.ok(); ++i) {
      tensorflow::Tensor* output = nullptr;
      status = call->context().allocate_output(i, inputs[i].shape(), &output);
      if (!status.ok() || inputs[i].TotalBytes() == 0) continue;
      copies.before.push_back({place, inputs[i].data(), inputs[i].TotalBytes()});
      copies.behind.push_back({output->data(), place, inputs[i].TotalBytes()});
      place += inputs[i].TotalBytes();
    }
    if (!status.ok()) return call->end(status);
    operation.in = operation.out = copies.bucket.data();
    call->submit_tensors(key(), std::move(operation), [call] { call->end(); }, std::move(copies));
  }

  void finish(Call& call, const std::shared_ptr<Bucket>& bucket) {
    tensorflow::OpOutputList outputs;
    absl::Status status = call.context().output_list("results", &outputs);
    for (int i = 0; i < outputs.size() && status.ok(); ++i) {
      tensorflow::Tensor* output = nullptr;
      status = outputs.allocate(i, call.context().input(i).shape(), &output);
    }
    if (status.ok()) bucket->empty_into(outputs);
    buckets_.give_back(bucket);
    call.end(status);
  }

  Buckets buckets_;
};

class AllReduceOp final : public FusedOp {
 public:
  explicit AllReduceOp(tensorflow::OpKernelConstruction* construction) : FusedOp(construction) {
    std::string name;
    OP_REQUIRES_OK(construction, construction->GetAttr("reduce_op", &name));
    op_ = to_reduce_op(name);
  }

 private:
  Request request() const override {
    Request request;
    request.collective = Collective::kAllReduce;
    request.op = op_;
    return request;
  }

  ReduceOp op_ = ReduceOp::kSum;
};

class BroadcastOp final : public FusedOp {
 public:
  explicit BroadcastOp(tensorflow::OpKernelConstruction* construction) : FusedOp(construction) {
    OP_REQUIRES_OK(construction, construction->GetAttr("root", &root_));
  }

 private:
  Request request() const override {
    Request request;
    request.collective = Collective::kBroadcast;
    request.root = root_;
    return request;
  }

  int root_ = 0;
};

}  // namespace smddp::tf_adapter
