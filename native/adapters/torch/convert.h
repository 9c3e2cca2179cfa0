#pragma once

#include <array>
#include <string>
#include <utility>
#include <vector>

#include <torch/csrc/distributed/c10d/Types.hpp>
#include <torch/extension.h>

#include "smddp/types.h"

#include "errors.h"

namespace smddp::torch_adapter {

inline DType to_dtype(const at::Tensor& tensor, const std::string& caller) {
  static constexpr std::array<std::pair<at::ScalarType, DType>, kDTypeCount> table{{
      {at::kDouble, DType::kFloat64},
      {at::kFloat, DType::kFloat32},
      {at::kHalf, DType::kFloat16},
      {at::kBFloat16, DType::kBFloat16},
      {at::kChar, DType::kInt8},
      {at::kShort, DType::kInt16},
      {at::kInt, DType::kInt32},
      {at::kLong, DType::kInt64},
      {at::kByte, DType::kUint8},
      {at::kUInt16, DType::kUint16},
      {at::kUInt32, DType::kUint32},
      {at::kUInt64, DType::kUint64},
      {at::kBool, DType::kBool},
  }};
  for (const auto& [scalar, dtype] : table) {
    if (scalar == tensor.scalar_type()) return dtype;
  }
  check(false, caller + ": dtype " + c10::toString(tensor.scalar_type()) +
                   " is not supported; convert the tensor");
  return DType::kUint8;
}

inline ReduceOp to_op(const c10d::ReduceOp& op, const std::string& caller) {
  switch (static_cast<c10d::ReduceOp::RedOpType>(op.op_)) {
    case c10d::ReduceOp::SUM:
      return ReduceOp::kSum;
    case c10d::ReduceOp::AVG:
      return ReduceOp::kAverage;
    case c10d::ReduceOp::PRODUCT:
      return ReduceOp::kProduct;
    case c10d::ReduceOp::MIN:
      return ReduceOp::kMin;
    case c10d::ReduceOp::MAX:
      return ReduceOp::kMax;
    case c10d::ReduceOp::BAND:
      return ReduceOp::kAnd;
    case c10d::ReduceOp::BOR:
      return ReduceOp::kOr;
    case c10d::ReduceOp::BXOR:
      return ReduceOp::kXor;
    default:
      check(false,
            caller +
                ": SMDDP does not support: ReduceOp.PREMUL_SUM; multiply the tensor and use SUM");
      return ReduceOp::kSum;
  }
}

inline void check_tensor(const at::Tensor& tensor, const std::string& caller) {
  check(tensor.device().is_cpu(),
        caller + ": the tensor is on " + tensor.device().str() +
            ", and this build of smddp serves CPU tensors; move it with .cpu()");
  check(tensor.layout() == at::kStrided, caller + ": the tensor is sparse; use .to_dense()");
}

/// For collectives that treat all elements alike: any layout without holes has its own meaning on
/// all ranks.
inline void check_dense(const at::Tensor& tensor, const std::string& caller) {
  check_tensor(tensor, caller);
  check(tensor.is_non_overlapping_and_dense(),
        caller + ": the tensor is not contiguous; use .contiguous()");
}

/// For collectives that cut the tensor into parts.
inline void check_contiguous(const at::Tensor& tensor, const std::string& caller) {
  check_tensor(tensor, caller);
  check(tensor.is_contiguous(), caller + ": the tensor is not contiguous; use .contiguous()");
}

inline void check_same_dtype(const at::Tensor& a, const at::Tensor& b, const std::string& caller) {
  check(a.scalar_type() == b.scalar_type(), caller + ": input and output have different dtypes, " +
                                                c10::toString(a.scalar_type()) + " and " +
                                                c10::toString(b.scalar_type()));
}

inline std::size_t count_of(const at::Tensor& tensor) {
  return static_cast<std::size_t>(tensor.numel());
}

inline std::vector<std::size_t> counts_of(const std::vector<at::Tensor>& tensors) {
  std::vector<std::size_t> counts;
  for (const at::Tensor& tensor : tensors) counts.push_back(count_of(tensor));
  return counts;
}

/// One new tensor with room for all elements of the list.
inline at::Tensor flat_like(const std::vector<at::Tensor>& tensors) {
  std::int64_t total = 0;
  for (const at::Tensor& tensor : tensors) total += tensor.numel();
  return at::empty({total}, tensors.front().options().requires_grad(false));
}

inline void copy_into_flat(const std::vector<at::Tensor>& tensors, const at::Tensor& flat) {
  const at::NoGradGuard no_grad;
  std::int64_t offset = 0;
  for (const at::Tensor& tensor : tensors) {
    flat.narrow(0, offset, tensor.numel()).view(tensor.sizes()).copy_(tensor);
    offset += tensor.numel();
  }
}

inline void copy_from_flat(const at::Tensor& flat, const std::vector<at::Tensor>& tensors) {
  const at::NoGradGuard no_grad;
  std::int64_t offset = 0;
  for (const at::Tensor& tensor : tensors) {
    tensor.detach().copy_(flat.narrow(0, offset, tensor.numel()).view(tensor.sizes()));
    offset += tensor.numel();
  }
}

}  // namespace smddp::torch_adapter
