// The only translation unit that includes torch's headers: parsing them takes longer than
// everything else in it.

#include <chrono>
#include <memory>
#include <numeric>
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
#include "errors.h"
#include "messages.h"
#include "movements.h"
#include "reductions.h"
#include "sparse.h"
#include "store.h"
#include "tensors.h"

namespace smddp::torch_adapter {
namespace {

template <typename T>
T value_or_throw(Result<T> result) {
  if (!result.ok()) throw_if_error(result.status());
  return std::move(result).value();
}

c10::intrusive_ptr<c10d::Backend> create_backend(const c10::intrusive_ptr<c10d::Store>& store,
                                                 int rank, int size, const std::string& name,
                                                 std::vector<smddp::Rank> labels,
                                                 const Config& config) {
  if (labels.empty()) {  // the group of all ranks
    labels.resize(static_cast<std::size_t>(size));
    std::iota(labels.begin(), labels.end(), 0);
  }
  auto runtime = value_or_throw(Runtime::acquire(config));
  CommunicatorOptions options{rank, size, name, std::make_shared<C10dStore>(store), labels};
  process_prefix(labels[static_cast<std::size_t>(rank)]);
  auto communicator = value_or_throw(runtime->create_communicator(std::move(options), config));
  communicator->meet();
  return c10::make_intrusive<SmddpBackend>(std::move(runtime), std::move(communicator), config,
                                           std::move(labels));
}

}  // namespace
}  // namespace smddp::torch_adapter

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
      .def_readwrite("timeout", &smddp::Config::timeout)
      .def_readwrite("slow_warning", &smddp::Config::slow_warning)
      .def_readwrite("leave_grace", &smddp::Config::leave_grace)
      .def_readwrite("chunk_bytes", &smddp::Config::chunk_bytes)
      .def_readwrite("move_apart", &smddp::Config::move_apart)
      .def_readwrite("log_level", &smddp::Config::log_level)
      .def_readwrite("log_file", &smddp::Config::log_file);
  py::class_<SmddpBackend, c10d::Backend, c10::intrusive_ptr<SmddpBackend>>(module, "SmddpBackend")
      .def("transport", &SmddpBackend::transport)
      .def("bucket_bytes", &SmddpBackend::bucket_bytes);
  module.def("create_backend", &create_backend, py::arg("store"), py::arg("rank"), py::arg("size"),
             py::arg("name"), py::arg("labels"), py::arg("config"),
             py::call_guard<py::gil_scoped_release>());
}
