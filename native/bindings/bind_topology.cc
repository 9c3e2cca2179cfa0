#include <cstddef>
#include <string>
#include <vector>

#include <pybind11/stl.h>

#include "smddp/topology.h"

#include "bind.h"

namespace smddp {

namespace py = pybind11;

namespace {

void bind_values(py::module_& module) {
  py::class_<NumaNode>(module, "NumaNode").def(py::init<>()).def_readwrite("cpus", &NumaNode::cpus);
  py::class_<Rail>(module, "Rail")
      .def(py::init<>())
      .def_readwrite("name", &Rail::name)
      .def_readwrite("gbps", &Rail::gbps)
      .def_readwrite("numa", &Rail::numa);
  py::class_<Gpu>(module, "Gpu")
      .def(py::init<>())
      .def_readwrite("numa", &Gpu::numa)
      .def_readwrite("rails", &Gpu::rails);
  py::class_<HostTopology>(module, "HostTopology")
      .def(py::init<>())
      .def_readwrite("instance_type", &HostTopology::instance_type)
      .def_readwrite("threads_per_core", &HostTopology::threads_per_core)
      .def_readwrite("cpu_limit", &HostTopology::cpu_limit)
      .def_readwrite("memory_gbytes_per_s", &HostTopology::memory_gbytes_per_s)
      .def_readwrite("numa_nodes", &HostTopology::numa_nodes)
      .def_readwrite("rails", &HostTopology::rails)
      .def_readwrite("gpus", &HostTopology::gpus);
  py::class_<Topology>(module, "Topology")
      .def(py::init<>())
      .def_readwrite("hosts", &Topology::hosts)
      .def_readwrite("host_of_rank", &Topology::host_of_rank);
}

}  // namespace

void bind_topology(py::module_& module) {
  bind_values(module);
  module.def(
      "encode_host", [](const HostTopology& host) { return py::bytes(encode(host)); },
      py::arg("host"));
  module.def("topology_hash", &hash, py::arg("topology"));
  module.def("balanced_bucket_bytes", &balanced_bucket_bytes, py::arg("topology"));
  module.def(
      "usable_interfaces",
      [](const std::string& spec) {
        std::vector<std::string> names;
        for (const Interface& interface :
             value_or_raise(select_interfaces(spec, list_interfaces()))) {
          names.push_back(interface.name);
        }
        return names;
      },
      py::arg("spec"));
  module.def(
      "discover_host",
      [](std::vector<std::string> interfaces, std::string root) {
        return discover_host({.interfaces = std::move(interfaces), .root = std::move(root)});
      },
      py::arg("interfaces"), py::arg("root"), py::call_guard<py::gil_scoped_release>());
}

}  // namespace smddp
