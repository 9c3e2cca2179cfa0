#include <utility>

#include "bind.h"

namespace smddp {

namespace py = pybind11;

void raise_if_error(const Status& status) {
  if (status.ok()) return;
  const py::object error =
      py::module_::import("smddp.errors")
          .attr("error_of_status")(static_cast<int>(status.code()), status.message());
  PyErr_SetObject(py::type::of(error).ptr(), error.ptr());
  throw py::error_already_set();
}

std::shared_ptr<void> keep_alive(py::object object) {
  // The object goes back to Python with the lock held; at interpreter exit it is too late for that,
  // and it is leaked.
  const auto release = [](py::object* held) {
    if (Py_IsInitialized() == 0) return;
    const py::gil_scoped_acquire lock;
    delete held;
  };
  return std::shared_ptr<py::object>{new py::object{std::move(object)}, release};
}

}  // namespace smddp
