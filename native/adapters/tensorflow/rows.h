#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "call.h"

namespace smddp::tf_adapter {

/// What a rank brings or gets: rows (of dimension 0), of so many elements each.
struct Rows {
  std::int64_t rows = 0;
  std::int64_t row_elements = 0;
};
static_assert(sizeof(Rows) == 2 * sizeof(std::int64_t));

inline std::int64_t row_elements_of(const tensorflow::TensorShape& shape) {
  std::int64_t elements = 1;
  for (int i = 1; i < shape.dims(); ++i) elements *= shape.dim_size(i);
  return elements;
}

inline absl::Status check_has_rows(const tensorflow::Tensor& tensor, const std::string& what) {
  if (tensor.dims() > 0) return absl::OkStatus();
  return absl::InvalidArgumentError("SMDDPArgumentError: " + what +
                                    " needs a tensor with at least one dimension, not a scalar");
}

/// All ranks see the same rows, so all end with this failure and the group goes on.
inline absl::Status check_rows_agree(const std::vector<Rows>& all, const std::string& what) {
  for (std::size_t rank = 1; rank < all.size(); ++rank) {
    if (all[rank].row_elements == all[0].row_elements) continue;
    return absl::InvalidArgumentError("SMDDPMismatchError: " + what + ": rank 0 brings rows of " +
                                      std::to_string(all[0].row_elements) + " elements and rank " +
                                      std::to_string(rank) + " rows of " +
                                      std::to_string(all[rank].row_elements) +
                                      "; only the first dimension may differ between ranks");
  }
  return absl::OkStatus();
}

/// Elements for each rank.
inline std::vector<std::size_t> counts_of(const std::vector<Rows>& all) {
  std::vector<std::size_t> counts;
  for (const Rows& one : all)
    counts.push_back(static_cast<std::size_t>(one.rows * one.row_elements));
  return counts;
}

inline std::int64_t sum_of_rows(const std::vector<Rows>& all) {
  std::int64_t rows = 0;
  for (const Rows& one : all) rows += one.rows;
  return rows;
}

/// A request that exchanges `Rows`: one for each rank.
inline Request rows_request(Collective collective, const std::vector<Rows>& in,
                            std::vector<Rows>& out, const std::string& name) {
  Request request;
  request.collective = collective;
  request.dtype = DType::kInt64;
  request.count = 2;
  request.in = in.data();
  request.out = out.data();
  request.name = name + " (sizes)";
  return request;
}

/// The tensors of all ranks one after the other. The sizes go round first.
class AllGatherOp final : public CollectiveOp {
 public:
  using CollectiveOp::CollectiveOp;

 private:
  void start(const std::shared_ptr<Call>& call) override {
    const tensorflow::Tensor& input = call->context().input(0);
    if (absl::Status wrong = check_has_rows(input, "allgather"); !wrong.ok())
      return call->end(wrong);
    auto own = std::make_shared<std::vector<Rows>>(
        1, Rows{input.dim_size(0), row_elements_of(input.shape())});
    auto all = std::make_shared<std::vector<Rows>>(call->world());
    Request sizes = rows_request(Collective::kAllGather, *own, *all, label());
    call->submit(key() + " (sizes)", std::move(sizes),
                 [this, call, own, all] { gather(call, *all); });
  }

  void gather(const std::shared_ptr<Call>& call, const std::vector<Rows>& all) {
    if (absl::Status wrong = check_rows_agree(all, label()); !wrong.ok()) return call->end(wrong);
    const tensorflow::Tensor& input = call->context().input(0);
    tensorflow::TensorShape shape = input.shape();
    shape.set_dim(0, sum_of_rows(all));
    tensorflow::Tensor* output = nullptr;
    if (absl::Status status = call->context().allocate_output(0, shape, &output); !status.ok())
      return call->end(status);
    Request request;
    request.name = label();
    request.collective = Collective::kAllGather;
    request.dtype = to_dtype(input.dtype());
    request.in = input.data();
    request.out = output->data();
    request.counts = counts_of(all);
    call->submit_tensors(key(), std::move(request), [call] { call->end(); });
  }
};

/// This rank's rows of the reduction; lower ranks get one more when they do not divide evenly.
class ReduceScatterOp final : public CollectiveOp {
 public:
  explicit ReduceScatterOp(tensorflow::OpKernelConstruction* construction)
      : CollectiveOp(construction) {
    std::string name;
    OP_REQUIRES_OK(construction, construction->GetAttr("reduce_op", &name));
    op_ = to_reduce_op(name);
  }

 private:
  void start(const std::shared_ptr<Call>& call) override {
    const tensorflow::Tensor& input = call->context().input(0);
    if (absl::Status wrong = check_has_rows(input, "reducescatter"); !wrong.ok())
      return call->end(wrong);
    const auto world = static_cast<std::int64_t>(call->world());
    std::vector<Rows> shares;
    for (std::int64_t rank = 0; rank < world; ++rank) {
      const std::int64_t extra = rank < input.dim_size(0) % world ? 1 : 0;
      shares.push_back({input.dim_size(0) / world + extra, row_elements_of(input.shape())});
    }
    tensorflow::TensorShape shape = input.shape();
    shape.set_dim(0, shares[call->rank()].rows);
    tensorflow::Tensor* output = nullptr;
    if (absl::Status status = call->context().allocate_output(0, shape, &output); !status.ok())
      return call->end(status);
    Request request;
    request.name = label();
    request.collective = Collective::kReduceScatter;
    request.dtype = to_dtype(input.dtype());
    request.op = op_;
    request.in = input.data();
    request.out = output->data();
    request.counts = counts_of(shares);
    call->submit_tensors(key(), std::move(request), [call] { call->end(); });
  }

  ReduceOp op_ = ReduceOp::kSum;
};

/// Rows for each rank, as `splits` says, against rows from each. The sizes are exchanged first.
class AllToAllOp final : public CollectiveOp {
 public:
  using CollectiveOp::CollectiveOp;

 private:
  using Sizes = std::shared_ptr<std::vector<Rows>>;

  void start(const std::shared_ptr<Call>& call) override {
    const tensorflow::Tensor& input = call->context().input(0);
    const tensorflow::Tensor& splits = call->context().input(1);
    absl::Status wrong = check_has_rows(input, "alltoall");
    if (wrong.ok()) wrong = check_splits(*call, input, splits);
    if (!wrong.ok()) return call->end(wrong);
    auto sent = std::make_shared<std::vector<Rows>>();
    for (std::int64_t rank = 0; rank < splits.NumElements(); ++rank)
      sent->push_back({splits.flat<std::int32_t>()(rank), row_elements_of(input.shape())});
    auto received = std::make_shared<std::vector<Rows>>(call->world());
    Request sizes = rows_request(Collective::kAllToAll, *sent, *received, label());
    call->submit(key() + " (sizes)", std::move(sizes),
                 [this, call, sent, received] { exchange(call, sent, received); });
  }

  static absl::Status check_splits(const Call& call, const tensorflow::Tensor& input,
                                   const tensorflow::Tensor& splits) {
    std::int64_t rows = 0;
    bool negative = false;
    for (std::int64_t i = 0; i < splits.NumElements(); ++i) {
      rows += splits.flat<std::int32_t>()(i);
      negative = negative || splits.flat<std::int32_t>()(i) < 0;
    }
    const bool one_for_each = splits.NumElements() == static_cast<std::int64_t>(call.world());
    if (one_for_each && !negative && rows == input.dim_size(0)) return absl::OkStatus();
    return absl::InvalidArgumentError(
        "SMDDPArgumentError: alltoall needs splits with a number of rows for each of " +
        std::to_string(call.world()) + " ranks, " + std::to_string(input.dim_size(0)) +
        " in all; it got " + std::to_string(splits.NumElements()) + " numbers with the sum " +
        std::to_string(rows));
  }

  void exchange(const std::shared_ptr<Call>& call, const Sizes& sent, const Sizes& received) {
    const tensorflow::Tensor& input = call->context().input(0);
    // Ranks whose rows differ see it in different places, so the collective itself has to fail.
    tensorflow::TensorShape shape = input.shape();
    shape.set_dim(0, sum_of_rows(*received));
    tensorflow::Tensor* output = nullptr;
    tensorflow::Tensor* splits = nullptr;
    absl::Status status = call->context().allocate_output(0, shape, &output);
    if (status.ok())
      status = call->context().allocate_output(1, call->context().input(1).shape(), &splits);
    if (!status.ok()) return call->end(status);
    for (std::size_t rank = 0; rank < received->size(); ++rank) {
      splits->flat<std::int32_t>()(static_cast<std::int64_t>(rank)) =
          static_cast<std::int32_t>((*received)[rank].rows);
      (*received)[rank].row_elements = row_elements_of(input.shape());
    }
    Request request;
    request.name = label();
    request.collective = Collective::kAllToAll;
    request.dtype = to_dtype(input.dtype());
    request.in = input.data();
    request.out = output->data();
    request.counts = counts_of(*received);
    request.send_counts = counts_of(*sent);
    call->submit_tensors(key(), std::move(request), [call] { call->end(); });
  }
};

/// Until all ranks are there.
class BarrierOp final : public CollectiveOp {
 public:
  using CollectiveOp::CollectiveOp;

 private:
  void start(const std::shared_ptr<Call>& call) override {
    Request request;  // a barrier unless told otherwise
    request.name = label();
    call->submit(key(), std::move(request), [call] { call->end(); });
  }
};

}  // namespace smddp::tf_adapter
