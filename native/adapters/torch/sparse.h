#pragma once

#include <string>
#include <utility>
#include <vector>

#include "backend.h"

namespace smddp::torch_adapter {

// all_reduce of sparse tensors (COO): ranks tell each other how many entries they bring, exchange
// the entries, and add them in rank order, each for itself.

/// What ranks must know of each other's sparse tensor: sparse dimensions, dimensions, entries, and
/// then the sizes, as int64.
inline constexpr std::int64_t kMostSparseDims = 16;
inline constexpr std::int64_t kSparseFacts = 3 + kMostSparseDims;

inline at::Tensor sparse_facts(const at::Tensor& tensor) {
  const at::Tensor facts = at::zeros({kSparseFacts}, at::kLong);
  auto* const data = facts.data_ptr<std::int64_t>();
  data[0] = tensor.sparse_dim();
  data[1] = tensor.dim();
  data[2] = tensor._nnz();
  std::copy(tensor.sizes().begin(), tensor.sizes().end(), data + 3);
  return facts;
}

/// "[3, 4] (1 sparse dimensions)"
inline std::string describe_sparse(const std::int64_t* facts) {
  std::string text;
  for (std::int64_t i = 0; i < facts[1]; ++i)
    text += (i == 0 ? "" : ", ") + std::to_string(facts[3 + i]);
  return "[" + text + "] (" + std::to_string(facts[0]) + " sparse dimensions)";
}

/// All ranks see the same facts, so all of them fail alike.
inline void check_sparse_agreement(const at::Tensor& facts, const std::vector<Rank>& labels) {
  const auto* const first = facts.data_ptr<std::int64_t>();
  for (std::int64_t rank = 1; rank < facts.size(0); ++rank) {
    const std::int64_t* const other = first + rank * kSparseFacts;
    const bool same_entries = first[0] == other[0] && first[1] == other[1];
    if (same_entries && std::equal(first + 3, first + kSparseFacts, other + 3)) continue;
    throw_if_error(
        Status{StatusCode::kMismatch,
               process_prefix() + "all_reduce: rank " + std::to_string(labels.front()) +
                   " brought a sparse tensor of shape " + describe_sparse(first) + ", but rank " +
                   std::to_string(labels[static_cast<std::size_t>(rank)]) + " one of shape " +
                   describe_sparse(other) + "; shapes must be equal"});
  }
}

/// The blocks of all ranks, counts[r] elements from rank r, in one dimension. Waits for them.
inline at::Tensor SmddpBackend::gathered(const at::Tensor& input,
                                         const std::vector<std::size_t>& counts,
                                         const c10d::AllreduceOptions& options) {
  std::int64_t total = 0;
  for (const std::size_t count : counts) total += static_cast<std::int64_t>(count);
  const at::Tensor source = readable(input);
  const at::Tensor output = at::empty({total}, source.options());
  Request request = plain(Collective::kAllGather, source, options);
  request.counts = counts;
  request.in = source.data_ptr();
  request.out = output.data_ptr();
  if (source.is_cpu()) {
    throw_if_error(run_now(std::move(request), {source, output}));
  } else {
    request.synchronous = true;
    Call call;
    call.buffers = {source, output};
    start(std::move(request), std::move(call))->wait(kNoTimeout);
  }
  return output;
}

/// Over when it returns, also when asked to be asynchronous: its three exchanges follow one another
/// in the order of the group, where no other operation may come between them.
inline WorkPtr SmddpBackend::allreduce_sparse(const at::Tensor& tensor,
                                              const c10d::AllreduceOptions& options) {
  check_device(tensor, "all_reduce");
  check(options.reduceOp.op_ == c10d::ReduceOp::SUM,
        "all_reduce: sparse tensors can be summed only; use ReduceOp.SUM, or .to_dense()");
  check(tensor.dim() <= kMostSparseDims, [&] {
    return "all_reduce: a sparse tensor of " + std::to_string(tensor.dim()) +
           " dimensions; at most " + std::to_string(kMostSparseDims) + " are supported";
  });
  const at::NoGradGuard no_grad;
  const at::Tensor own = tensor.coalesce();
  const auto each = static_cast<std::size_t>(kSparseFacts);
  const at::Tensor facts =
      gathered(sparse_facts(own), std::vector<std::size_t>(ranks(), each), options)
          .view({size_, kSparseFacts});
  check_sparse_agreement(facts, labels_);

  std::vector<std::int64_t> value_sizes = own._values().sizes().vec();
  std::size_t entry_elements = 1;
  for (std::size_t i = 1; i < value_sizes.size(); ++i)
    entry_elements *= static_cast<std::size_t>(value_sizes[i]);
  std::vector<std::size_t> index_counts;
  std::vector<std::size_t> value_counts;
  value_sizes[0] = 0;
  for (int rank = 0; rank < size_; ++rank) {
    const std::int64_t entries = facts[rank][2].item<std::int64_t>();
    value_sizes[0] += entries;
    index_counts.push_back(static_cast<std::size_t>(entries * own.sparse_dim()));
    value_counts.push_back(static_cast<std::size_t>(entries) * entry_elements);
  }
  const at::Tensor indices = gathered(own._indices().t(), index_counts, options);
  const at::Tensor values = gathered(own._values(), value_counts, options);
  const at::Tensor sum = at::sparse_coo_tensor(indices.view({value_sizes[0], own.sparse_dim()}).t(),
                                               values.view(value_sizes), own.sizes(), own.options())
                             .coalesce();
  tensor.copy_(sum);
  auto work = c10::make_intrusive<SmddpWork>(
      rank_,
      Call{c10d::OpType::_ALLREDUCE_SPARSE, "smddp:sparse_all_reduce", {tensor}, {{tensor}}});
  work->attach(smddp::Work{Status{}});
  work->complete(Status{});
  return work;
}

}  // namespace smddp::torch_adapter
