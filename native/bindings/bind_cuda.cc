#include <string>
#include <vector>

#include <pybind11/stl.h>

#include "smddp/cuda.h"

#include "bind.h"

namespace smddp {

namespace py = pybind11;

void bind_cuda(py::module_& module) {
  py::class_<CudaFacts>(module, "CudaFacts")
      .def_readonly("driver", &CudaFacts::driver)
      .def_readonly("devices", &CudaFacts::devices)
      .def_readonly("problem", &CudaFacts::problem);
  py::class_<NcclFacts>(module, "NcclFacts")
      .def_readonly("version", &NcclFacts::version)
      .def_readonly("path", &NcclFacts::path)
      .def_readonly("problem", &NcclFacts::problem);
  module.def("cuda_facts", &cuda_facts, py::call_guard<py::gil_scoped_release>());
  module.def("nccl_facts", &nccl_facts, py::arg("paths"), py::call_guard<py::gil_scoped_release>());
}

}  // namespace smddp
