#include <pybind11/chrono.h>
#include <pybind11/stl.h>

#include "smddp/config.h"
#include "smddp/transports.h"
#include "smddp/types.h"

#include "bind.h"

namespace smddp {

namespace py = pybind11;

namespace {

template <typename Enum>
void bind_enum(py::module_& module, const char* name, int count) {
  py::enum_<Enum> binding{module, name};
  for (int i = 0; i < count; ++i) {
    const auto value = static_cast<Enum>(i);
    std::string label{name_of(value)};
    // `and` and `or` are keywords in Python.
    if (label == "and" || label == "or" || label == "xor") label.insert(0, "bitwise_");
    binding.value(label.c_str(), value);
  }
}

}  // namespace

void bind_types(py::module_& module) {
  bind_enum<DType>(module, "DType", kDTypeCount);
  bind_enum<ReduceOp>(module, "ReduceOp", kReduceOpCount);
  bind_enum<Collective>(module, "Collective", kCollectiveCount);
  module.def("size_of", &size_of, py::arg("dtype"));
  module.def("is_defined", &is_defined, py::arg("op"), py::arg("dtype"));

  module.def("transport_names", &transport_names);

  py::class_<Config>(module, "Config")
      .def(py::init<>())
      .def_readwrite("transport", &Config::transport)
      .def_readwrite("host_id", &Config::host_id)
      .def_readwrite("job_secret", &Config::job_secret)
      .def_readwrite("listen_address", &Config::listen_address)
      .def_readwrite("socket_ifname", &Config::socket_ifname)
      .def_readwrite("stripe_bytes", &Config::stripe_bytes)
      .def_readwrite("tcp_congestion", &Config::tcp_congestion)
      // Bytes, not text.
      .def_property(
          "topology", [](const Config& config) { return py::bytes(config.topology); },
          [](Config& config, const py::bytes& topology) { config.topology = topology; })
      .def_property(
          "costs", [](const Config& config) { return py::bytes(config.costs); },
          [](Config& config, const py::bytes& costs) { config.costs = costs; })
      .def_readwrite("costs_problem", &Config::costs_problem)
      .def_readwrite("order", &Config::order)
      .def_readwrite("partials", &Config::partials)
      .def_readwrite("algorithm", &Config::algorithm)
      .def_readwrite("ofi_provider", &Config::ofi_provider)
      .def_readwrite("gpu_collectives", &Config::gpu_collectives)
      .def_readwrite("gpu_kernels", &Config::gpu_kernels)
      .def_readwrite("gpu_staging_bytes", &Config::gpu_staging_bytes)
      .def_readwrite("gpu_open_tensors", &Config::gpu_open_tensors)
      .def_readwrite("nccl_paths", &Config::nccl_paths)
      .def_readwrite("nccl_min_ctas", &Config::nccl_min_ctas)
      .def_readwrite("nccl_max_ctas", &Config::nccl_max_ctas)
      .def_readwrite("nccl_cta_policy", &Config::nccl_cta_policy)
      .def_readwrite("timeout", &Config::timeout)
      .def_readwrite("slow_warning", &Config::slow_warning)
      .def_readwrite("leave_grace", &Config::leave_grace)
      .def_readwrite("chunk_bytes", &Config::chunk_bytes)
      .def_readwrite("move_apart", &Config::move_apart)
      .def_readwrite("log_level", &Config::log_level)
      .def_readwrite("log_file", &Config::log_file);
}

}  // namespace smddp
