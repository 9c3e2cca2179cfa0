#pragma once

#include <optional>

#include "smddp/types.h"

#include "provider/nccl/abi.h"

namespace smddp::nccl {

/// For collectives that reduce; the others move bytes.
struct Reduction {
  DataType type = DataType::kUint8;
  RedOp op = RedOp::kSum;
};

/// None where NCCL has no such reduction: 16-bit integers, complex numbers, bitwise operations.
/// float8 needs GPUs of sm_90 or newer. Booleans are bytes of 0 and 1, so that "or" is their
/// maximum and "and" their minimum. kAverage: NCCL multiplies what floats bring by 1 / ranks before
/// it adds.
std::optional<Reduction> reduced_as(DType dtype, ReduceOp op);

}  // namespace smddp::nccl
