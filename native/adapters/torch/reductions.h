#pragma once

#include <utility>
#include <vector>

#include "backend.h"

namespace smddp::torch_adapter {

// What adds: all_reduce, reduce, reduce_scatter.

inline WorkPtr SmddpBackend::allreduce(Tensors& tensors, const c10d::AllreduceOptions& options) {
  const at::Tensor& tensor = only(tensors, "all_reduce");
  if (tensor.is_sparse()) return allreduce_sparse(tensor, options);
  check_tensor(tensor, "all_reduce");
  Call call{c10d::OpType::ALLREDUCE, "smddp:all_reduce", tensors, {tensors}};
  const at::Tensor memory = in_place(tensor, "all_reduce", call.copies);
  const at::Tensor input = contribution(memory, options.reduceOp, "all_reduce");
  Request request = reduction(Collective::kAllReduce, input, options.reduceOp, options);
  request.count = count_of(input);
  request.in = input.data_ptr();
  request.out = memory.data_ptr();
  call.buffers = {input, memory};
  return start(std::move(request), std::move(call));
}

inline WorkPtr SmddpBackend::reduce(Tensors& tensors, const c10d::ReduceOptions& options) {
  const at::Tensor& tensor = only(tensors, "reduce");
  check_tensor(tensor, "reduce");
  Call call{c10d::OpType::REDUCE, "smddp:reduce", tensors, {tensors}};
  const at::Tensor memory = in_place(tensor, "reduce", call.copies);
  const at::Tensor input = contribution(memory, options.reduceOp, "reduce");
  Request request = reduction(Collective::kReduce, input, options.reduceOp, options);
  request.root = static_cast<Rank>(options.rootRank);
  request.count = count_of(input);
  request.in = input.data_ptr();
  request.out = memory.data_ptr();
  call.buffers = {input, memory};
  return start(std::move(request), std::move(call));
}

inline WorkPtr SmddpBackend::reduce_scatter(Tensors& outputs, std::vector<Tensors>& inputs,
                                            const c10d::ReduceScatterOptions& options) {
  const at::Tensor& output = only(outputs, "reduce_scatter");
  check_tensor(output, "reduce_scatter");
  check(inputs.size() == 1 && inputs[0].size() == ranks(),
        "reduce_scatter: the input list must have one tensor per rank");
  check_list(inputs[0], output, "reduce_scatter");
  check(inputs[0][static_cast<std::size_t>(rank_)].numel() == output.numel(),
        "reduce_scatter: this rank's input tensor and its output differ in size");
  Call call{c10d::OpType::REDUCE_SCATTER, "smddp:reduce_scatter", inputs[0], {outputs}};
  const at::Tensor flat = flattened(inputs[0]);
  const at::Tensor input = contribution(flat, options.reduceOp, "reduce_scatter");
  const at::Tensor memory = writable(output, "reduce_scatter", call.copies);
  Request request = reduction(Collective::kReduceScatter, input, options.reduceOp, options);
  request.counts = counts_of(inputs[0]);
  if (flat.is_complex() && !input.is_complex()) {
    for (std::size_t& count : request.counts) count *= 2;
  }
  request.in = input.data_ptr();
  request.out = memory.data_ptr();
  call.buffers = {input, memory};
  return start(std::move(request), std::move(call));
}

/// One reduce_scatter of equal blocks; `call` keeps what it reads and writes.
inline Request SmddpBackend::reduction_into_block(const at::Tensor& output, const at::Tensor& input,
                                                  const c10d::ReduceScatterOptions& options,
                                                  Call& call) const {
  check_tensor(input, "reduce_scatter_tensor");
  check_list({output}, input, "reduce_scatter_tensor");
  check(input.numel() == output.numel() * size_,
        "reduce_scatter_tensor: the input must have world_size times the output's elements");
  const at::Tensor source =
      contribution(readable(input), options.reduceOp, "reduce_scatter_tensor");
  const at::Tensor memory = writable(output, "reduce_scatter_tensor", call.copies);
  Request request = reduction(Collective::kReduceScatter, source, options.reduceOp, options);
  request.count = count_of(source) / ranks();
  request.in = source.data_ptr();
  request.out = memory.data_ptr();
  call.buffers.push_back(source);
  call.buffers.push_back(memory);
  return request;
}

inline WorkPtr SmddpBackend::_reduce_scatter_base(at::Tensor& output, at::Tensor& input,
                                                  const c10d::ReduceScatterOptions& options) {
  Call call{c10d::OpType::_REDUCE_SCATTER_BASE, "smddp:_reduce_scatter_base", {input}, {{output}}};
  Request request = reduction_into_block(output, input, options, call);
  return start(std::move(request), std::move(call));
}

}  // namespace smddp::torch_adapter
