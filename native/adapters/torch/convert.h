#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <torch/csrc/distributed/c10d/Types.hpp>
#include <torch/extension.h>

#include "smddp/types.h"

#include "errors.h"

namespace smddp::torch_adapter {

inline DType to_dtype(const at::Tensor& tensor, std::string_view caller) {
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
      {at::kComplexFloat, DType::kComplex64},
      {at::kComplexDouble, DType::kComplex128},
      {at::kFloat8_e4m3fn, DType::kFloat8E4m3fn},
      {at::kFloat8_e5m2, DType::kFloat8E5m2},
      {at::kFloat8_e4m3fnuz, DType::kFloat8E4m3fnuz},
      {at::kFloat8_e5m2fnuz, DType::kFloat8E5m2fnuz},
      {at::kFloat8_e8m0fnu, DType::kFloat8E8m0fnu},
  }};
  for (const auto& [scalar, dtype] : table) {
    if (scalar == tensor.scalar_type()) return dtype;
  }
  refuse(std::string{caller} + ": dtype " + c10::toString(tensor.scalar_type()) +
         " is not supported; convert the tensor");
}

inline ReduceOp to_op(const c10d::ReduceOp& op, std::string_view caller) {
  switch (static_cast<c10d::ReduceOp::RedOpType>(op.op_)) {
    case c10d::ReduceOp::SUM:
    case c10d::ReduceOp::PREMUL_SUM:  // of contributions that are scaled already
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
      refuse(std::string{caller} + ": unknown ReduceOp; use one of torch.distributed.ReduceOp");
  }
}

/// Device types that are served, besides the CPU.
inline std::vector<c10::DeviceType>& device_types() {
  static std::vector<c10::DeviceType> types{c10::DeviceType::CUDA};
  return types;
}

/// Serves tensors of another device type too, whose streams have to be CUDA's: for devices that
/// torch calls otherwise.
inline void serve_device_type(const std::string& type) {
  device_types().push_back(c10::Device{type}.type());
}

inline void check_device(const at::Tensor& tensor, std::string_view caller) {
  if (tensor.is_cpu()) return;
  const auto& types = device_types();
  check(std::find(types.begin(), types.end(), tensor.device().type()) != types.end(), [&] {
    return std::string{caller} + ": the tensor is on " + tensor.device().str() +
           ", and smddp serves tensors of the CPU and of CUDA; move it with .cpu()";
  });
}

/// Whether the engine can move the elements of this tensor.
inline void check_tensor(const at::Tensor& tensor, std::string_view caller) {
  check_device(tensor, caller);
  check(tensor.layout() == at::kStrided,
        [&] { return std::string{caller} + ": the tensor is sparse; use .to_dense()"; });
  check(!tensor.is_quantized(), [&] {
    return std::string{caller} +
           ": SMDDP does not support: quantized tensors; pass .int_repr() or .dequantize()";
  });
}

inline void check_same_dtype(const at::Tensor& a, const at::Tensor& b, std::string_view caller) {
  check(a.scalar_type() == b.scalar_type(), [&] {
    return std::string{caller} + ": all tensors must have one dtype, got " +
           c10::toString(a.scalar_type()) + " and " + c10::toString(b.scalar_type());
  });
}

/// For tensors that take part in one operation: the engine can move them, and as one kind.
inline void check_list(const std::vector<at::Tensor>& list, const at::Tensor& other,
                       std::string_view caller) {
  for (const at::Tensor& tensor : list) {
    check_tensor(tensor, caller);
    check_same_dtype(tensor, other, caller);
  }
}

inline std::size_t count_of(const at::Tensor& tensor) {
  return static_cast<std::size_t>(tensor.numel());
}

inline std::vector<std::size_t> counts_of(const std::vector<at::Tensor>& tensors) {
  std::vector<std::size_t> counts;
  for (const at::Tensor& tensor : tensors) counts.push_back(count_of(tensor));
  return counts;
}

/// The list's one tensor.
inline const at::Tensor& only(const std::vector<at::Tensor>& tensors, std::string_view caller) {
  check(tensors.size() == 1, [&] {
    return std::string{caller} + ": expected one tensor, got " + std::to_string(tensors.size());
  });
  return tensors.front();
}

}  // namespace smddp::torch_adapter
