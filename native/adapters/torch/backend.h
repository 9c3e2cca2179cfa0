#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <torch/csrc/distributed/c10d/Backend.hpp>

#include "smddp/runtime.h"

#include "convert.h"
#include "errors.h"
#include "unlocked.h"
#include "work.h"

namespace smddp::torch_adapter {

using WorkPtr = c10::intrusive_ptr<c10d::Work>;
using Tensors = std::vector<at::Tensor>;

/// The torch.distributed backend: checks tensors, turns each call into one request, and the outcome
/// into Work.
class SmddpBackend final : public c10d::Backend {
 public:
  SmddpBackend(std::shared_ptr<Runtime> runtime, std::unique_ptr<Communicator> communicator,
               const Config& config)
      : c10d::Backend(communicator->rank(), communicator->world()),
        runtime_(std::move(runtime)),
        communicator_(std::move(communicator)),
        timeout_(config.timeout),
        leave_grace_(config.leave_grace) {}

  // Leaving waits for the completion thread, which may be waiting for the interpreter's lock.
  ~SmddpBackend() override {
    const Unlocked unlocked;
    communicator_.reset();
    runtime_.reset();
  }

  const std::string getBackendName() const override { return "smddp"; }
  c10::intrusive_ptr<Options> getBackendOptions() override {
    return c10::make_intrusive<Options>("smddp", timeout_);
  }
  void setTimeout(std::chrono::milliseconds timeout) override { timeout_ = timeout; }
  void setSequenceNumberForGroup() override {}
  std::uint64_t getSequenceNumberForGroup() override { return sequence_; }
  void shutdown() override { leave(leave_grace_); }
  void abort() override { leave(std::chrono::milliseconds{0}); }
  std::string transport() const { return communicator_->transport(); }

  WorkPtr allreduce(Tensors& tensors, const c10d::AllreduceOptions& options) override {
    const at::Tensor& tensor = only(tensors, "all_reduce");
    check_dense(tensor, "all_reduce");
    Request request = reduction(Collective::kAllReduce, tensor, options.reduceOp, options);
    request.count = count_of(tensor);
    request.in = request.out = tensor.data_ptr();
    return start(std::move(request),
                 {c10d::OpType::ALLREDUCE, "smddp:all_reduce", tensors, {tensors}, {}}, tensor);
  }

  WorkPtr allreduce_coalesced(Tensors& tensors,
                              const c10d::AllreduceCoalescedOptions& options) override {
    check(!tensors.empty(), "all_reduce_coalesced: no tensors");
    for (const at::Tensor& tensor : tensors) {
      check_tensor(tensor, "all_reduce_coalesced");
      check_same_dtype(tensor, tensors.front(), "all_reduce_coalesced");
    }
    const at::Tensor flat = flat_like(tensors);
    copy_into_flat(tensors, flat);
    Request request = reduction(Collective::kAllReduce, flat, options.reduceOp, options);
    request.count = count_of(flat);
    request.in = request.out = flat.data_ptr();
    Call call{c10d::OpType::ALLREDUCE_COALESCED, "smddp:all_reduce", tensors, {tensors}, {}};
    call.copy_out = [flat, tensors] { copy_from_flat(flat, tensors); };
    return start(std::move(request), std::move(call), flat);
  }

  WorkPtr broadcast(Tensors& tensors, const c10d::BroadcastOptions& options) override {
    const at::Tensor& tensor = only(tensors, "broadcast");
    check_dense(tensor, "broadcast");
    Request request = plain(Collective::kBroadcast, tensor, options);
    request.root = static_cast<Rank>(options.rootRank);
    request.count = count_of(tensor);
    request.out = tensor.data_ptr();
    return start(std::move(request),
                 {c10d::OpType::BROADCAST, "smddp:broadcast", tensors, {tensors}, {}}, tensor);
  }

  WorkPtr reduce(Tensors& tensors, const c10d::ReduceOptions& options) override {
    const at::Tensor& tensor = only(tensors, "reduce");
    check_dense(tensor, "reduce");
    Request request = reduction(Collective::kReduce, tensor, options.reduceOp, options);
    request.root = static_cast<Rank>(options.rootRank);
    request.count = count_of(tensor);
    request.in = request.out = tensor.data_ptr();
    return start(std::move(request), {c10d::OpType::REDUCE, "smddp:reduce", tensors, {tensors}, {}},
                 tensor);
  }

  WorkPtr allgather(std::vector<Tensors>& outputs, Tensors& inputs,
                    const c10d::AllgatherOptions& options) override {
    const at::Tensor input = dense_input(only(inputs, "all_gather"), "all_gather");
    check(outputs.size() == 1 && outputs[0].size() == ranks(),
          "all_gather: the output list must have one tensor per rank");
    check_list(outputs[0], input, "all_gather");
    check(outputs[0][static_cast<std::size_t>(rank_)].numel() == input.numel(),
          "all_gather: this rank's output tensor and its input differ in size");
    const at::Tensor flat = flat_like(outputs[0]);
    Request request = plain(Collective::kAllGather, input, options);
    request.counts = counts_of(outputs[0]);
    request.in = input.data_ptr();
    request.out = flat.data_ptr();
    Call call{c10d::OpType::ALLGATHER, "smddp:all_gather", inputs, outputs, {}};
    call.copy_out = [flat, list = outputs[0]] { copy_from_flat(flat, list); };
    return start(std::move(request), std::move(call), input, flat);
  }

  WorkPtr _allgather_base(at::Tensor& output, at::Tensor& input,
                          const c10d::AllgatherOptions& options) override {
    check_contiguous(input, "all_gather_into_tensor");
    check_contiguous(output, "all_gather_into_tensor");
    check_same_dtype(input, output, "all_gather_into_tensor");
    check(output.numel() == input.numel() * size_,
          "all_gather_into_tensor: the output must have world_size times the input's elements");
    Request request = plain(Collective::kAllGather, input, options);
    request.count = count_of(input);
    request.in = input.data_ptr();
    request.out = output.data_ptr();
    return start(std::move(request),
                 {c10d::OpType::_ALLGATHER_BASE, "smddp:_all_gather_base", {input}, {{output}}, {}},
                 input, output);
  }

  WorkPtr reduce_scatter(Tensors& outputs, std::vector<Tensors>& inputs,
                         const c10d::ReduceScatterOptions& options) override {
    const at::Tensor& output = only(outputs, "reduce_scatter");
    check_contiguous(output, "reduce_scatter");
    check(inputs.size() == 1 && inputs[0].size() == ranks(),
          "reduce_scatter: the input list must have one tensor per rank");
    check_list(inputs[0], output, "reduce_scatter");
    check(inputs[0][static_cast<std::size_t>(rank_)].numel() == output.numel(),
          "reduce_scatter: this rank's input tensor and its output differ in size");
    const at::Tensor flat = flat_like(inputs[0]);
    copy_into_flat(inputs[0], flat);
    Request request = reduction(Collective::kReduceScatter, output, options.reduceOp, options);
    request.counts = counts_of(inputs[0]);
    request.in = flat.data_ptr();
    request.out = output.data_ptr();
    return start(std::move(request),
                 {c10d::OpType::REDUCE_SCATTER, "smddp:reduce_scatter", inputs[0], {outputs}, {}},
                 flat, output);
  }

  WorkPtr _reduce_scatter_base(at::Tensor& output, at::Tensor& input,
                               const c10d::ReduceScatterOptions& options) override {
    check_contiguous(input, "reduce_scatter_tensor");
    check_contiguous(output, "reduce_scatter_tensor");
    check_same_dtype(input, output, "reduce_scatter_tensor");
    check(input.numel() == output.numel() * size_,
          "reduce_scatter_tensor: the input must have world_size times the output's elements");
    Request request = reduction(Collective::kReduceScatter, output, options.reduceOp, options);
    request.count = count_of(output);
    request.in = input.data_ptr();
    request.out = output.data_ptr();
    return start(
        std::move(request),
        {c10d::OpType::_REDUCE_SCATTER_BASE, "smddp:_reduce_scatter_base", {input}, {{output}}, {}},
        input, output);
  }

  WorkPtr alltoall_base(at::Tensor& output, at::Tensor& input,
                        std::vector<std::int64_t>& output_splits,
                        std::vector<std::int64_t>& input_splits,
                        const c10d::AllToAllOptions& options) override {
    check_contiguous(input, "all_to_all_single");
    check_contiguous(output, "all_to_all_single");
    check_same_dtype(input, output, "all_to_all_single");
    Request request = plain(Collective::kAllToAll, input, options);
    request.counts = split_counts(output, output_splits, "output_split_sizes");
    request.send_counts = split_counts(input, input_splits, "input_split_sizes");
    request.in = input.data_ptr();
    request.out = output.data_ptr();
    return start(std::move(request),
                 {c10d::OpType::ALLTOALL_BASE, "smddp:all_to_all", {input}, {{output}}, {}}, input,
                 output);
  }

  WorkPtr barrier(const c10d::BarrierOptions& options) override {
    Request request;
    request.collective = Collective::kBarrier;
    request.timeout = timeout_for(options);
    request.synchronous = !options.asyncOp;
    return start(std::move(request), {c10d::OpType::BARRIER, "smddp:barrier", {}, {}, {}});
  }

 private:
  void leave(std::chrono::milliseconds grace) {
    const Unlocked unlocked;
    communicator_->leave(grace);
  }

  std::size_t ranks() const { return static_cast<std::size_t>(size_); }

  template <typename Options>
  std::chrono::milliseconds timeout_for(const Options& options) const {
    return options.timeout.count() > 0 ? options.timeout : timeout_;
  }

  template <typename Options>
  Request plain(Collective collective, const at::Tensor& tensor, const Options& options) const {
    Request request;
    request.collective = collective;
    request.dtype = to_dtype(tensor, std::string{name_of(collective)});
    request.timeout = timeout_for(options);
    request.synchronous = !options.asyncOp;
    return request;
  }

  template <typename Options>
  Request reduction(Collective collective, const at::Tensor& tensor, const c10d::ReduceOp& op,
                    const Options& options) const {
    Request request = plain(collective, tensor, options);
    request.op = to_op(op, std::string{name_of(collective)});
    return request;
  }

  static const at::Tensor& only(const Tensors& tensors, const std::string& caller) {
    check(tensors.size() == 1,
          caller + ": expected one tensor, got " + std::to_string(tensors.size()));
    return tensors.front();
  }

  static at::Tensor dense_input(const at::Tensor& tensor, const std::string& caller) {
    check_tensor(tensor, caller);
    return tensor.contiguous();
  }

  static void check_list(const Tensors& list, const at::Tensor& other, const std::string& caller) {
    for (const at::Tensor& tensor : list) {
      check_tensor(tensor, caller);
      check_same_dtype(tensor, other, caller);
    }
  }

  std::vector<std::size_t> split_counts(const at::Tensor& tensor,
                                        const std::vector<std::int64_t>& splits,
                                        const std::string& name) const {
    const std::int64_t rows = tensor.dim() == 0 ? 1 : tensor.size(0);
    const std::int64_t row_elements = rows == 0 ? 0 : tensor.numel() / rows;
    if (splits.empty()) {
      check(rows % size_ == 0, "all_to_all_single: " + std::to_string(rows) +
                                   " rows cannot be divided among " + std::to_string(size_) +
                                   " ranks; give " + name);
      return std::vector<std::size_t>(ranks(),
                                      static_cast<std::size_t>(rows / size_ * row_elements));
    }
    std::int64_t total = 0;
    std::vector<std::size_t> counts;
    for (const std::int64_t split : splits) {
      check(split >= 0, "all_to_all_single: " + name + " must not be negative");
      total += split;
      counts.push_back(static_cast<std::size_t>(split * row_elements));
    }
    check(splits.size() == ranks() && total == rows,
          "all_to_all_single: " + name + " must have one entry per rank and add up to " +
              std::to_string(rows));
    return counts;
  }

  /// Submits; the work holds on to `buffers`, and the engine to the work until it is over.
  template <typename... Buffers>
  WorkPtr start(Request request, Call call, const Buffers&... buffers) {
    (call.buffers.push_back(buffers), ...);
    auto work = c10::make_intrusive<SmddpWork>(rank_, std::move(call));
    request.on_complete = [work](const Status& status) { work->complete(status); };
    ++sequence_;
    work->attach(communicator_->submit(std::move(request)));
    return work;
  }

  std::shared_ptr<Runtime> runtime_;
  std::unique_ptr<Communicator> communicator_;
  std::chrono::milliseconds timeout_;
  const std::chrono::milliseconds leave_grace_;
  std::uint64_t sequence_ = 0;
};

}  // namespace smddp::torch_adapter
