// The only translation unit that includes torch's headers: parsing them takes longer than
// everything else in it.

#include <chrono>
#include <string>
#include <vector>

#include <pybind11/chrono.h>
#include <pybind11/stl.h>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/extension.h>

#include "smddp/runtime.h"

#include "backend.h"
#include "barriers.h"
#include "blocks.h"
#include "coalesced.h"
#include "creation.h"
#include "devices.h"
#include "errors.h"
#include "messages.h"
#include "movements.h"
#include "reductions.h"
#include "sparse.h"
#include "tensors.h"

PYBIND11_MODULE(TORCH_EXTENSION_NAME, module) {
  namespace py = pybind11;
  using namespace smddp::torch_adapter;

  module.doc() =
      "The torch.distributed backend of smddp. Use smddp.torch; this module is conversion only.";
  module.attr("built_for_torch") = SMDDP_TORCH_VERSION;

  // `_core` binds the same class with another pybind11; the two share no types, so each has its
  // own.
  py::class_<smddp::Config>(module, "Config", py::module_local())
      .def(py::init<>())
      .def_readwrite("transport", &smddp::Config::transport)
      .def_readwrite("host_id", &smddp::Config::host_id)
      .def_readwrite("job_secret", &smddp::Config::job_secret)
      .def_readwrite("listen_address", &smddp::Config::listen_address)
      .def_readwrite("socket_ifname", &smddp::Config::socket_ifname)
      .def_readwrite("stripe_bytes", &smddp::Config::stripe_bytes)
      .def_readwrite("tcp_congestion", &smddp::Config::tcp_congestion)
      .def_property(
          "topology", [](const smddp::Config& config) { return py::bytes(config.topology); },
          [](smddp::Config& config, const py::bytes& topology) { config.topology = topology; })
      .def_property(
          "costs", [](const smddp::Config& config) { return py::bytes(config.costs); },
          [](smddp::Config& config, const py::bytes& costs) { config.costs = costs; })
      .def_readwrite("costs_problem", &smddp::Config::costs_problem)
      .def_readwrite("order", &smddp::Config::order)
      .def_readwrite("partials", &smddp::Config::partials)
      .def_readwrite("algorithm", &smddp::Config::algorithm)
      .def_readwrite("ofi_provider", &smddp::Config::ofi_provider)
      .def_readwrite("gpu_collectives", &smddp::Config::gpu_collectives)
      .def_readwrite("gpu_kernels", &smddp::Config::gpu_kernels)
      .def_readwrite("gpu_staging_bytes", &smddp::Config::gpu_staging_bytes)
      .def_readwrite("gpu_open_tensors", &smddp::Config::gpu_open_tensors)
      .def_readwrite("nccl_paths", &smddp::Config::nccl_paths)
      .def_readwrite("nccl_min_ctas", &smddp::Config::nccl_min_ctas)
      .def_readwrite("nccl_max_ctas", &smddp::Config::nccl_max_ctas)
      .def_readwrite("nccl_cta_policy", &smddp::Config::nccl_cta_policy)
      .def_readwrite("timeout", &smddp::Config::timeout)
      .def_readwrite("slow_warning", &smddp::Config::slow_warning)
      .def_readwrite("leave_grace", &smddp::Config::leave_grace)
      .def_readwrite("chunk_bytes", &smddp::Config::chunk_bytes)
      .def_readwrite("move_apart", &smddp::Config::move_apart)
      .def_readwrite("log_level", &smddp::Config::log_level)
      .def_readwrite("log_file", &smddp::Config::log_file);
  py::class_<SmddpOptions, c10d::Backend::Options, c10::intrusive_ptr<SmddpOptions>>(module,
                                                                                     "SmddpOptions")
      .def("__deepcopy__", [](const SmddpOptions& options, const py::dict&) {
        return c10::make_intrusive<SmddpOptions>(options);
      });
  py::class_<SmddpBackend, c10d::Backend, c10::intrusive_ptr<SmddpBackend>>(module, "SmddpBackend")
      .def_property_readonly("options", &SmddpBackend::options)
      .def("transport", &SmddpBackend::transport)
      // torch asks ranks that stay outside of a new group; a split with NCCL would need them.
      .def("perform_nocolor_split", [](SmddpBackend&, const at::Device&) {})
      .def("device_transport", &SmddpBackend::device_transport)
      .def("bucket_bytes", &SmddpBackend::bucket_bytes);
  module.def("serve_device_type", &serve_device_type, py::arg("type"));
  module.def("create_backend", &create_backend, py::arg("store"), py::arg("rank"), py::arg("size"),
             py::arg("name"), py::arg("labels"), py::arg("config"),
             py::call_guard<py::gil_scoped_release>());
}
