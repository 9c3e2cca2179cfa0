// Our kernels on the pretended GPU: their source, compiled for the processor, in a shared object
// like that of `_cuda`.

#include <array>

#include "fake_kernel.h"

// clang-format off: the kernels need what the first has
#include "cuda_on_cpu.h"
#include "../../kernels/reduce.cu"
// clang-format on

namespace {

using smddp::cuda::ReduceArguments;

template <void (*kKernel)(ReduceArguments)>
void run(const void* parameter, fake_gpu::Grid grid) {
  ReduceArguments arguments;
  std::memcpy(&arguments, parameter, sizeof(arguments));
  gridDim.x = grid.blocks;
  blockDim.x = grid.threads;
  for (blockIdx.x = 0; blockIdx.x < grid.blocks; ++blockIdx.x) {
    for (threadIdx.x = 0; threadIdx.x < grid.threads; ++threadIdx.x) kKernel(arguments);
  }
}

#define FAKE_KERNEL(name) \
  fake_gpu::Kernel { #name, sizeof(ReduceArguments), &run<name> }
constexpr std::array kKernels{
    FAKE_KERNEL(copy_bytes),        FAKE_KERNEL(reduce_float64),  FAKE_KERNEL(reduce_float32),
    FAKE_KERNEL(reduce_float16),    FAKE_KERNEL(reduce_bfloat16), FAKE_KERNEL(reduce_int8),
    FAKE_KERNEL(reduce_int16),      FAKE_KERNEL(reduce_int32),    FAKE_KERNEL(reduce_int64),
    FAKE_KERNEL(reduce_uint8),      FAKE_KERNEL(reduce_uint16),   FAKE_KERNEL(reduce_uint32),
    FAKE_KERNEL(reduce_uint64),     FAKE_KERNEL(reduce_bool),     FAKE_KERNEL(reduce_float8_e4m3fn),
    FAKE_KERNEL(reduce_float8_e5m2)};
constexpr fake_gpu::Image kImage{fake_gpu::Image::kMagic, kKernels.size(), kKernels.data()};

}  // namespace

extern "C" __attribute__((visibility("default"))) smddp::cuda::KernelImage smddp_kernels() {
  return {smddp::cuda::kKernelsVersion, sizeof(kImage), &kImage, "pretended"};
}
