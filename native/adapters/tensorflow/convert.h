#pragma once

#include <absl/status/status.h>

#include <string>

#include "smddp/status.h"
#include "smddp/types.h"

#include <tensorflow/core/framework/types.pb.h>

namespace smddp::tf_adapter {

/// Of the types that the ops are registered for.
inline DType to_dtype(tensorflow::DataType type) {
  switch (type) {
    case tensorflow::DT_DOUBLE:
      return DType::kFloat64;
    case tensorflow::DT_FLOAT:
      return DType::kFloat32;
    case tensorflow::DT_HALF:
      return DType::kFloat16;
    case tensorflow::DT_BFLOAT16:
      return DType::kBFloat16;
    case tensorflow::DT_INT8:
      return DType::kInt8;
    case tensorflow::DT_INT32:
      return DType::kInt32;
    case tensorflow::DT_INT64:
      return DType::kInt64;
    case tensorflow::DT_BOOL:
      return DType::kBool;
    default:
      return DType::kUint8;
  }
}

/// The attribute `reduce_op` of an op, which TensorFlow has checked.
inline ReduceOp to_reduce_op(const std::string& name) {
  if (name == "average") return ReduceOp::kAverage;
  if (name == "min") return ReduceOp::kMin;
  if (name == "max") return ReduceOp::kMax;
  return name == "product" ? ReduceOp::kProduct : ReduceOp::kSum;
}

/// The engine's sentence behind the name of the exception that it means, by which Python raises
/// that. Never kUnavailable or kAborted: sessions of TensorFlow 1 take these for a server that
/// comes back, and try again for ever.
inline absl::Status to_status(const Status& status) {
  switch (status.code()) {
    case StatusCode::kOk:
    case StatusCode::kAgain:
      return absl::OkStatus();
    case StatusCode::kInvalidArgument:
      return absl::InvalidArgumentError("SMDDPArgumentError: " + status.message());
    case StatusCode::kMismatch:
      return absl::InvalidArgumentError("SMDDPMismatchError: " + status.message());
    case StatusCode::kConfig:
      return absl::FailedPreconditionError("SMDDPConfigError: " + status.message());
    case StatusCode::kState:
      return absl::FailedPreconditionError("SMDDPStateError: " + status.message());
    case StatusCode::kTimeout:
      return absl::DeadlineExceededError("SMDDPTimeoutError: " + status.message());
    case StatusCode::kPeerLost:
      return absl::InternalError("SMDDPPeerLostError: " + status.message());
    case StatusCode::kAborted:
      return absl::InternalError("SMDDPAbortedError: " + status.message());
    case StatusCode::kSystem:
      return absl::InternalError("SMDDPSystemError: " + status.message());
  }
  return absl::InternalError(status.message());
}

}  // namespace smddp::tf_adapter
