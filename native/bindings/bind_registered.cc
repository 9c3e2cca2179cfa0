#include <memory>

#include "smddp/registered.h"

#include "bind.h"

namespace smddp {

namespace py = pybind11;

void bind_registered(py::module_& module) {
  py::class_<RegisteredBlock>(module, "RegisteredBlock", py::buffer_protocol())
      .def(py::init([](std::size_t bytes) {
             return std::make_unique<RegisteredBlock>(
                 value_or_raise(RegisteredBlock::allocate(bytes)));
           }),
           py::arg("bytes"))
      .def_buffer([](RegisteredBlock& block) {
        return py::buffer_info(reinterpret_cast<std::uint8_t*>(block.data()),
                               static_cast<py::ssize_t>(block.size()));
      });
}

}  // namespace smddp
