
#include <memory>
#include <string>

#include "smddp/job_store.h"
#include "smddp/store.h"

#include "bind.h"

namespace smddp {

namespace py = pybind11;

namespace {

std::shared_ptr<Store> open(const JobPlace& place) {
  Result<std::shared_ptr<Store>> store = [&] {
    const py::gil_scoped_release unlocked;
    return open_job_store(place);
  }();
  return value_or_raise(std::move(store));
}

}  // namespace

void bind_store(py::module_& module) {
  py::class_<JobPlace>(module, "JobPlace")
      .def(py::init<>())
      .def_readwrite("rank", &JobPlace::rank)
      .def_readwrite("size", &JobPlace::size)
      .def_readwrite("local_size", &JobPlace::local_size)
      .def_readwrite("master_addr", &JobPlace::master_addr)
      .def_readwrite("port", &JobPlace::port)
      .def_readwrite("job_id", &JobPlace::job_id)
      .def_readwrite("job_secret", &JobPlace::job_secret);
  // Rank 0's store waits for the others to leave; not with the interpreter's lock.
  py::class_<Store, std::shared_ptr<Store>>(module, "Store",
                                            py::release_gil_before_calling_cpp_dtor{});
  module.def("open_job_store", &open, py::arg("place"));
}

}  // namespace smddp
