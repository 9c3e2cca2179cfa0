#include "provider/nccl/convert.h"

namespace smddp::nccl {
namespace {

std::optional<DataType> number_type(DType dtype) {
  switch (dtype) {
    case DType::kFloat64:
      return DataType::kFloat64;
    case DType::kFloat32:
      return DataType::kFloat32;
    case DType::kFloat16:
      return DataType::kFloat16;
    case DType::kBFloat16:
      return DataType::kBFloat16;
    case DType::kInt8:
      return DataType::kInt8;
    case DType::kInt32:
      return DataType::kInt32;
    case DType::kInt64:
      return DataType::kInt64;
    case DType::kUint8:
      return DataType::kUint8;
    case DType::kUint32:
      return DataType::kUint32;
    case DType::kUint64:
      return DataType::kUint64;
    case DType::kFloat8E4m3fn:
      return DataType::kFloat8E4m3;
    case DType::kFloat8E5m2:
      return DataType::kFloat8E5m2;
    default:
      return std::nullopt;
  }
}

std::optional<RedOp> arithmetic_op(ReduceOp op) {
  switch (op) {
    case ReduceOp::kSum:
      return RedOp::kSum;
    case ReduceOp::kProduct:
      return RedOp::kProduct;
    case ReduceOp::kMin:
      return RedOp::kMin;
    case ReduceOp::kMax:
      return RedOp::kMax;
    case ReduceOp::kAverage:
      return RedOp::kAverage;
    default:
      return std::nullopt;
  }
}

std::optional<RedOp> bool_op(ReduceOp op) {
  switch (op) {
    case ReduceOp::kSum:
    case ReduceOp::kMax:
    case ReduceOp::kOr:
      return RedOp::kMax;
    case ReduceOp::kProduct:
    case ReduceOp::kMin:
    case ReduceOp::kAnd:
      return RedOp::kMin;
    default:
      return std::nullopt;
  }
}

}  // namespace

std::optional<Reduction> reduced_as(DType dtype, ReduceOp op) {
  const bool is_bool = dtype == DType::kBool;
  const auto type = is_bool ? std::optional{DataType::kUint8} : number_type(dtype);
  const auto with = is_bool ? bool_op(op) : arithmetic_op(op);
  if (!type || !with) return std::nullopt;
  return Reduction{*type, *with};
}

}  // namespace smddp::nccl
