// `_cuda`: the kernels for NVIDIA's GPUs, as one image for all architectures. The engine opens this
// shared object when a group of GPUs meets (provider/cuda/kernels.h); Python imports it to tell
// what there is. It needs neither CUDA's runtime nor a driver to be loaded.

#include <string>
#include <vector>

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "smddp/cuda.h"
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

PYBIND11_MODULE(_cuda, module) {
  module.doc() = "Kernels of smddp for NVIDIA's GPUs.";
  const std::string architectures{smddp_kernels().architectures};
  module.def(
      "architectures", [architectures] { return architectures; },
      "The GPUs that the kernels were compiled for, such as \"sm_80 sm_90\".");
  module.def("image_bytes", [] { return smddp_kernels().bytes; }, "Size of the kernels.");
  module.def(
      "devices", [] { return smddp::cuda_facts().devices; },
      pybind11::call_guard<pybind11::gil_scoped_release>(),
      "The names of the GPUs that the driver sees; none where there is no driver.");
}
