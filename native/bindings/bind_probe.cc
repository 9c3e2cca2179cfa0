#include <cstdint>

#include "smddp/probe.h"

#include "bind.h"

namespace smddp {

namespace py = pybind11;

void bind_probe(py::module_& module) {
  py::class_<HandOff>(module, "HandOff")
      .def_readonly("flag_seconds", &HandOff::flag_seconds)
      .def_readonly("futex_seconds", &HandOff::futex_seconds)
      .def_readonly("two_processors", &HandOff::two_processors);
  module.def("probe_hand_off", &probe_hand_off, py::call_guard<py::gil_scoped_release>());
  // Buffers come as addresses; the Python side has checked size and alignment.
  module.def(
      "pass_in_place",
      [](std::uintptr_t buffer, std::size_t bytes) {
        pass_in_place(reinterpret_cast<void*>(buffer), bytes);
      },
      py::arg("buffer"), py::arg("bytes"), py::call_guard<py::gil_scoped_release>());
  module.def(
      "copy_non_temporal",
      [](std::uintptr_t target, std::uintptr_t source, std::size_t bytes) {
        copy_non_temporal(reinterpret_cast<void*>(target), reinterpret_cast<const void*>(source),
                          bytes);
      },
      py::arg("target"), py::arg("source"), py::arg("bytes"),
      py::call_guard<py::gil_scoped_release>());
}

}  // namespace smddp
