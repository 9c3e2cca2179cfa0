// `_cuda`: what there is of kernels for GPUs, for Python.

#include <string>
#include <vector>

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "smddp/cuda.h"

#include "provider/cuda/kernel_arguments.h"

extern "C" smddp::cuda::KernelImage smddp_kernels();

PYBIND11_MODULE(_cuda, module) {
  module.doc() = "Kernels of smddp for NVIDIA's GPUs.";
  module.def(
      "architectures", [] { return std::string{smddp_kernels().architectures}; },
      "The GPUs that the kernels were compiled for, such as \"sm_80 sm_90\".");
  module.def("image_bytes", [] { return smddp_kernels().bytes; }, "Size of the kernels.");
  module.def(
      "devices", [] { return smddp::cuda_facts().devices; },
      pybind11::call_guard<pybind11::gil_scoped_release>(),
      "The names of the GPUs that the driver sees; none where there is no driver.");
}
