#pragma once

#include "smddp/cuda.h"
#include "smddp/status.h"

namespace smddp::cuda {

/// Functions of the CUDA driver, as libcuda.so.1 has them (docs.nvidia.com/cuda: driver API), or as
/// a test makes them. They return 0 when all went well.
struct DriverTable {
  int (*init)(unsigned flags) = nullptr;
  int (*driver_get_version)(int* version) = nullptr;
  int (*device_get_count)(int* count) = nullptr;
  int (*device_get)(int* device, int ordinal) = nullptr;
  int (*device_get_name)(char* name, int size, int device) = nullptr;
  int (*get_error_string)(int error, const char** text) = nullptr;
};

/// kConfig: this machine has none.
Result<DriverTable> load_driver();

CudaFacts facts_of(const DriverTable& driver);

}  // namespace smddp::cuda
