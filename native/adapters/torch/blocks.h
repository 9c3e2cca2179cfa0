#pragma once

#include <string>
#include <utility>
#include <vector>

#include "backend.h"

namespace smddp::torch_adapter {

// What moves a block from every rank to every rank: all_gather, all_to_all.

inline WorkPtr SmddpBackend::allgather(std::vector<Tensors>& outputs, Tensors& inputs,
                                       const c10d::AllgatherOptions& options) {
  const at::Tensor& tensor = only(inputs, "all_gather");
  check_tensor(tensor, "all_gather");
  check(outputs.size() == 1 && outputs[0].size() == ranks(),
        "all_gather: the output list must have one tensor per rank");
  check_list(outputs[0], tensor, "all_gather");
  check(outputs[0][static_cast<std::size_t>(rank_)].numel() == tensor.numel(),
        "all_gather: this rank's output tensor and its input differ in size");
  Call call{c10d::OpType::ALLGATHER, "smddp:all_gather", inputs, outputs};
  const at::Tensor input = readable(tensor);
  const at::Tensor flat = flat_output(outputs[0], "all_gather", call.copies);
  Request request = plain(Collective::kAllGather, input, options);
  request.counts = counts_of(outputs[0]);
  request.in = input.data_ptr();
  request.out = flat.data_ptr();
  call.buffers = {input, flat};
  return start(std::move(request), std::move(call));
}

/// One all_gather of equal blocks; `call` keeps what it reads and writes.
inline Request SmddpBackend::gather_of_blocks(const at::Tensor& output, const at::Tensor& input,
                                              const c10d::AllgatherOptions& options,
                                              Call& call) const {
  check_tensor(input, "all_gather_into_tensor");
  check_list({output}, input, "all_gather_into_tensor");
  check(output.numel() == input.numel() * size_,
        "all_gather_into_tensor: the output must have world_size times the input's elements");
  const at::Tensor source = readable(input);
  const at::Tensor memory = writable(output, "all_gather_into_tensor", call.copies);
  Request request = plain(Collective::kAllGather, source, options);
  request.count = count_of(source);
  request.in = source.data_ptr();
  request.out = memory.data_ptr();
  call.buffers.push_back(source);
  call.buffers.push_back(memory);
  return request;
}

inline WorkPtr SmddpBackend::_allgather_base(at::Tensor& output, at::Tensor& input,
                                             const c10d::AllgatherOptions& options) {
  Call call{c10d::OpType::_ALLGATHER_BASE, "smddp:_all_gather_base", {input}, {{output}}};
  Request request = gather_of_blocks(output, input, options, call);
  return start(std::move(request), std::move(call));
}

inline WorkPtr SmddpBackend::alltoall(Tensors& outputs, Tensors& inputs,
                                      const c10d::AllToAllOptions& options) {
  check(outputs.size() == ranks() && inputs.size() == ranks(),
        "all_to_all: both lists must have one tensor per rank");
  check_tensor(inputs[0], "all_to_all");
  check_list(inputs, inputs[0], "all_to_all");
  check_list(outputs, inputs[0], "all_to_all");
  Call call{c10d::OpType::ALLTOALL, "smddp:all_to_all", inputs, {outputs}};
  const at::Tensor source = flattened(inputs);
  const at::Tensor target = flat_output(outputs, "all_to_all", call.copies);
  Request request = plain(Collective::kAllToAll, source, options);
  request.counts = counts_of(outputs);
  request.send_counts = counts_of(inputs);
  request.in = source.data_ptr();
  request.out = target.data_ptr();
  call.buffers = {source, target};
  return start(std::move(request), std::move(call));
}

inline WorkPtr SmddpBackend::alltoall_base(at::Tensor& output, at::Tensor& input,
                                           std::vector<std::int64_t>& output_splits,
                                           std::vector<std::int64_t>& input_splits,
                                           const c10d::AllToAllOptions& options) {
  check_tensor(input, "all_to_all_single");
  check_list({output}, input, "all_to_all_single");
  Call call{c10d::OpType::ALLTOALL_BASE, "smddp:all_to_all", {input}, {{output}}};
  const at::Tensor source = readable(input);
  const at::Tensor memory = writable(output, "all_to_all_single", call.copies);
  Request request = plain(Collective::kAllToAll, source, options);
  request.counts = split_counts(output, output_splits, "output_split_sizes");
  request.send_counts = split_counts(input, input_splits, "input_split_sizes");
  request.in = source.data_ptr();
  request.out = memory.data_ptr();
  call.buffers = {source, memory};
  return start(std::move(request), std::move(call));
}

inline std::vector<std::size_t> SmddpBackend::split_counts(const at::Tensor& tensor,
                                                           const std::vector<std::int64_t>& splits,
                                                           const std::string& name) const {
  const std::int64_t rows = tensor.dim() == 0 ? 1 : tensor.size(0);
  const std::int64_t row_elements = rows == 0 ? 0 : tensor.numel() / rows;
  if (splits.empty()) {
    check(rows % size_ == 0, [&] {
      return "all_to_all_single: " + std::to_string(rows) + " rows cannot be divided among " +
             std::to_string(size_) + " ranks; give " + name;
    });
    return std::vector<std::size_t>(ranks(), static_cast<std::size_t>(rows / size_ * row_elements));
  }
  std::int64_t total = 0;
  std::vector<std::size_t> counts;
  for (const std::int64_t split : splits) {
    check(split >= 0, [&] { return "all_to_all_single: " + name + " must not be negative"; });
    total += split;
    counts.push_back(static_cast<std::size_t>(split * row_elements));
  }
  check(splits.size() == ranks() && total == rows, [&] {
    return "all_to_all_single: " + name + " must have one entry per rank and add up to " +
           std::to_string(rows);
  });
  return counts;
}

}  // namespace smddp::torch_adapter
