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
  fake_gpu::Kernel { "reduce_" #name, sizeof(ReduceArguments), &run<reduce_##name> }
constexpr std::array kKernels{
    FAKE_KERNEL(float64),  FAKE_KERNEL(float32),       FAKE_KERNEL(float16),
    FAKE_KERNEL(bfloat16), FAKE_KERNEL(int8),          FAKE_KERNEL(int16),
    FAKE_KERNEL(int32),    FAKE_KERNEL(int64),         FAKE_KERNEL(uint8),
    FAKE_KERNEL(uint16),   FAKE_KERNEL(uint32),        FAKE_KERNEL(uint64),
    FAKE_KERNEL(bool),     FAKE_KERNEL(float8_e4m3fn), FAKE_KERNEL(float8_e5m2)};
constexpr fake_gpu::Image kImage{fake_gpu::Image::kMagic, kKernels.size(), kKernels.data()};

}  // namespace

extern "C" __attribute__((visibility("default"))) smddp::cuda::KernelImage smddp_kernels() {
  return {smddp::cuda::kKernelsVersion, sizeof(kImage), &kImage, "pretended"};
}
