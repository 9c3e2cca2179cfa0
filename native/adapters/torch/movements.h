#pragma once

#include <utility>
#include <vector>

#include "backend.h"

namespace smddp::torch_adapter {

// What goes from or to one rank: broadcast, gather, scatter.

inline WorkPtr SmddpBackend::broadcast(Tensors& tensors, const c10d::BroadcastOptions& options) {
  const at::Tensor& tensor = only(tensors, "broadcast");
  check_tensor(tensor, "broadcast");
  Call call{c10d::OpType::BROADCAST, "smddp:broadcast", tensors, {tensors}};
  const at::Tensor memory = in_place(tensor, "broadcast", call.copies);
  Request request = plain(Collective::kBroadcast, memory, options);
  request.root = static_cast<Rank>(options.rootRank);
  request.count = count_of(memory);
  request.out = memory.data_ptr();
  call.buffers = {memory};
  return start(std::move(request), std::move(call));
}

inline WorkPtr SmddpBackend::gather(std::vector<Tensors>& outputs, Tensors& inputs,
                                    const c10d::GatherOptions& options) {
  const at::Tensor& tensor = only(inputs, "gather");
  check_tensor(tensor, "gather");
  const at::Tensor input = readable(tensor);
  Call call{c10d::OpType::GATHER, "smddp:gather", inputs, outputs};
  Request request = plain(Collective::kGather, input, options);
  request.root = static_cast<Rank>(options.rootRank);
  request.count = count_of(input);
  request.in = input.data_ptr();
  call.buffers = {input};
  if (rank_ != request.root) {
    check(outputs.empty(), "gather: only the destination rank may give an output list");
    return start(std::move(request), std::move(call));
  }
  check(outputs.size() == 1 && outputs[0].size() == ranks(),
        "gather: the output list must have one tensor per rank");
  check_list(outputs[0], input, "gather");
  for (const at::Tensor& output : outputs[0]) {
    check(output.numel() == input.numel(),
          "gather: all tensors of the output list must have as many elements as the input");
  }
  const at::Tensor flat = flat_output(outputs[0], "gather", call.copies);
  request.out = flat.data_ptr();
  call.buffers.push_back(flat);
  return start(std::move(request), std::move(call));
}

inline WorkPtr SmddpBackend::scatter(Tensors& outputs, std::vector<Tensors>& inputs,
                                     const c10d::ScatterOptions& options) {
  const at::Tensor& output = only(outputs, "scatter");
  check_tensor(output, "scatter");
  Call call{
      c10d::OpType::SCATTER, "smddp:scatter", inputs.empty() ? Tensors{} : inputs[0], {outputs}};
  const at::Tensor memory = writable(output, "scatter", call.copies);
  Request request = plain(Collective::kScatter, memory, options);
  request.root = static_cast<Rank>(options.rootRank);
  request.count = count_of(memory);
  request.out = memory.data_ptr();
  call.buffers = {memory};
  if (rank_ != request.root) {
    check(inputs.empty(), "scatter: only the source rank may give an input list");
    return start(std::move(request), std::move(call));
  }
  check(inputs.size() == 1 && inputs[0].size() == ranks(),
        "scatter: the input list must have one tensor per rank");
  check_list(inputs[0], output, "scatter");
  for (const at::Tensor& input : inputs[0]) {
    check(input.numel() == output.numel(),
          "scatter: all tensors of the input list must have as many elements as the output");
  }
  const at::Tensor flat = flattened(inputs[0]);
  request.in = flat.data_ptr();
  call.buffers.push_back(flat);
  return start(std::move(request), std::move(call));
}

}  // namespace smddp::torch_adapter
