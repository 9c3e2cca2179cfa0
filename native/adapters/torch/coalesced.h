#pragma once

#include <utility>
#include <vector>

#include "backend.h"

namespace smddp::torch_adapter {

// Several tensors in one call. Lists of small tensors travel as one array; tensors that have an
// array for their result each travel where they are, one after the other.

inline WorkPtr SmddpBackend::allreduce_coalesced(Tensors& tensors,
                                                 const c10d::AllreduceCoalescedOptions& options) {
  check(!tensors.empty(), "all_reduce_coalesced: no tensors");
  check_list(tensors, tensors.front(), "all_reduce_coalesced");
  Call call{c10d::OpType::ALLREDUCE_COALESCED, "smddp:all_reduce", tensors, {tensors}};
  const at::Tensor output = flat_output(tensors, "all_reduce_coalesced", call.copies);
  {
    const at::NoGradGuard no_grad;
    for (const Copy& copy : call.copies) copy.from.copy_(copy.to);
  }
  const at::Tensor input = contribution(output, options.reduceOp, "all_reduce_coalesced");
  Request request = reduction(Collective::kAllReduce, input, options.reduceOp, options);
  request.count = count_of(input);
  request.in = input.data_ptr();
  request.out = output.data_ptr();
  call.buffers = {input, output};
  return start(std::move(request), std::move(call));
}

inline WorkPtr SmddpBackend::allgather_coalesced(std::vector<Tensors>& outputs, Tensors& inputs,
                                                 const c10d::AllgatherOptions& options) {
  check(!inputs.empty(), "all_gather_coalesced: no tensors");
  check_list(inputs, inputs.front(), "all_gather_coalesced");
  check(outputs.size() == ranks(), "all_gather_coalesced: give one output list per rank");
  Tensors all;
  for (const Tensors& list : outputs) {
    check_list(list, inputs.front(), "all_gather_coalesced");
    check(counts_of(list) == counts_of(inputs),
          "all_gather_coalesced: each output list must have tensors of the inputs' sizes");
    all.insert(all.end(), list.begin(), list.end());
  }
  Call call{c10d::OpType::ALLGATHER_COALESCED, "smddp:all_gather", inputs, outputs};
  const at::Tensor input = flattened(inputs);
  const at::Tensor output = flat_output(all, "all_gather_coalesced", call.copies);
  Request request = plain(Collective::kAllGather, input, options);
  request.count = count_of(input);
  request.in = input.data_ptr();
  request.out = output.data_ptr();
  call.buffers = {input, output};
  return start(std::move(request), std::move(call));
}

inline WorkPtr SmddpBackend::allgather_into_tensor_coalesced(
    Tensors& outputs, Tensors& inputs, const c10d::AllgatherOptions& options) {
  check(!inputs.empty() && inputs.size() == outputs.size(),
        "all_gather_into_tensor_coalesced: give one output for each input");
  Call call{c10d::OpType::ALLGATHER_COALESCED, "smddp:_all_gather_base", inputs, {outputs}};
  std::vector<Request> requests;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    requests.push_back(gather_of_blocks(outputs[i], inputs[i], options, call));
  return start_all(std::move(requests), std::move(call));
}

inline WorkPtr SmddpBackend::reduce_scatter_tensor_coalesced(
    Tensors& outputs, Tensors& inputs, const c10d::ReduceScatterOptions& options) {
  check(!inputs.empty() && inputs.size() == outputs.size(),
        "reduce_scatter_tensor_coalesced: give one output for each input");
  Call call{c10d::OpType::REDUCE_SCATTER_TENSOR_COALESCED,
            "smddp:_reduce_scatter_base",
            inputs,
            {outputs}};
  std::vector<Request> requests;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    requests.push_back(reduction_into_block(outputs[i], inputs[i], options, call));
  return start_all(std::move(requests), std::move(call));
}

}  // namespace smddp::torch_adapter
