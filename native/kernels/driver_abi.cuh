#pragma once

// The engine reaches the driver without its header (provider/cuda/driver.h); here, where there is
// that header, what it says is held against it.

#include <cuda.h>

#include <cstddef>

#include "provider/cuda/driver.h"

namespace smddp::cuda {

static_assert(kNotReady == CUDA_ERROR_NOT_READY);
static_assert(sizeof(IpcHandle) == sizeof(CUipcMemHandle));
static_assert(sizeof(Address) == sizeof(CUdeviceptr));

static_assert(sizeof(WordStep) == sizeof(CUstreamBatchMemOpParams));
static_assert(WordStep::kWait == CU_STREAM_MEM_OP_WAIT_VALUE_32);
static_assert(WordStep::kWrite == CU_STREAM_MEM_OP_WRITE_VALUE_32);
static_assert(WordStep::kWriteLong == CU_STREAM_MEM_OP_WRITE_VALUE_64);
static_assert(CU_STREAM_WAIT_VALUE_GEQ == 0 && CU_STREAM_WRITE_VALUE_DEFAULT == 0);
#define SMDDP_SAME_PLACE(ours, theirs)                                                             \
  static_assert(offsetof(WordStep, ours) == offsetof(CUstreamBatchMemOpParams, waitValue.theirs)); \
  static_assert(offsetof(WordStep, ours) == offsetof(CUstreamBatchMemOpParams, writeValue.theirs))
SMDDP_SAME_PLACE(kind, operation);
SMDDP_SAME_PLACE(word, address);
SMDDP_SAME_PLACE(value, value);
SMDDP_SAME_PLACE(flags, flags);
#undef SMDDP_SAME_PLACE

static_assert(kBufferId == CU_POINTER_ATTRIBUTE_BUFFER_ID);
static_assert(kRangeStart == CU_POINTER_ATTRIBUTE_RANGE_START_ADDR);
static_assert(kRangeBytes == CU_POINTER_ATTRIBUTE_RANGE_SIZE);

}  // namespace smddp::cuda
