// libsmddp_kernels.so: the kernels for NVIDIA's GPUs, as one image for all architectures. The
// engine opens it when a group of GPUs meets (provider/cuda/kernels.h). It needs neither CUDA's
// runtime nor a driver to be loaded.

#include <cstdint>

#include "smddp/export.h"

#include "provider/cuda/kernel_arguments.h"

asm(R"(
  .section .rodata
  .balign 64
  .global smddp_kernel_image
  .hidden smddp_kernel_image
smddp_kernel_image:
  .incbin ")" SMDDP_KERNEL_IMAGE R"("
  .global smddp_kernel_image_end
  .hidden smddp_kernel_image_end
smddp_kernel_image_end:
  .byte 0
  .previous
)");
extern "C" const char smddp_kernel_image;
extern "C" const char smddp_kernel_image_end;

extern "C" SMDDP_API smddp::cuda::KernelImage smddp_kernels() {
  return {.version = smddp::cuda::kKernelsVersion,
          .bytes = static_cast<std::uint32_t>(&smddp_kernel_image_end - &smddp_kernel_image),
          .image = &smddp_kernel_image,
          .architectures = SMDDP_KERNEL_ARCHITECTURES};
}
