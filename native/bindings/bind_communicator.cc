#include <chrono>
#include <cstdint>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include <pybind11/chrono.h>
#include <pybind11/stl.h>

#include "smddp/keyed_communicator.h"
#include "smddp/keyed_device_group.h"
#include "smddp/runtime.h"

#include "bind.h"

namespace smddp {

namespace py = pybind11;

namespace {

using Milliseconds = std::chrono::milliseconds;

// Destructors wait for the completion thread, which may be waiting for the interpreter's lock.
constexpr py::release_gil_before_calling_cpp_dtor kUnlocked{};

// Buffers come as addresses; the Python side has checked that they are contiguous and long enough.
struct Buffers {
  std::uintptr_t in;
  std::uintptr_t out;
};

Work submit(Communicator& communicator, Request request, const Buffers& buffers, py::object owner) {
  request.in = reinterpret_cast<const void*>(buffers.in);
  request.out = reinterpret_cast<void*>(buffers.out);
  request.keep_alive = keep_alive(std::move(owner));
  const py::gil_scoped_release unlocked;
  return communicator.submit(std::move(request));
}

void connect(Communicator& communicator) {
  Work met{Status{}};
  {
    const py::gil_scoped_release unlocked;
    met = communicator.connect();
  }
  wait(met, std::nullopt);
}

std::shared_ptr<KeyedCommunicator> create_keyed(Runtime& runtime, Rank rank, int world,
                                                std::string name, std::shared_ptr<Store> store,
                                                const Config& config) {
  CommunicatorOptions options{rank, world, std::move(name), std::move(store)};
  return value_or_raise(KeyedCommunicator::create(runtime, std::move(options), config));
}

std::shared_ptr<KeyedDeviceGroup> make_keyed_device_group(
    const Runtime& runtime, std::string name, std::shared_ptr<Store> store, const Config& config,
    std::shared_ptr<KeyedCommunicator> order) {
  CommunicatorOptions options{order->rank(), order->world(), std::move(name), std::move(store)};
  return std::make_shared<KeyedDeviceGroup>(runtime, std::move(options), config, std::move(order));
}

// Ctrl-C works while this rank waits for the others.
Rank join(KeyedCommunicator& group) {
  constexpr Milliseconds kSlice{50};
  std::future<Result<Rank>> joined;
  for (;;) {
    {
      const py::gil_scoped_release unlocked;
      if (!joined.valid()) joined = group.join();
      if (joined.wait_for(kSlice) == std::future_status::ready) break;
    }
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  }
  return value_or_raise(joined.get());
}

void bind_requests(py::module_& module) {
  py::class_<Request>(module, "Request")
      .def(py::init<>())
      .def_readwrite("collective", &Request::collective)
      .def_readwrite("dtype", &Request::dtype)
      .def_readwrite("op", &Request::op)
      .def_readwrite("root", &Request::root)
      .def_readwrite("count", &Request::count)
      .def_readwrite("counts", &Request::counts)
      .def_readwrite("send_counts", &Request::send_counts)
      .def_readwrite("timeout", &Request::timeout)
      .def_readwrite("synchronous", &Request::synchronous)
      .def_readwrite("name", &Request::name);
  py::class_<Work>(module, "Work", kUnlocked)
      .def("is_completed", &Work::is_completed)
      .def("wait", &wait, py::arg("timeout") = py::none());
}

}  // namespace

bool wait(const Work& work, std::optional<Milliseconds> timeout) {
  const Deadline deadline = timeout ? Deadline::after(*timeout) : Deadline::never();
  for (;;) {
    Status outcome = Status::again();
    {
      const py::gil_scoped_release unlocked;
      outcome = work.wait(deadline);
    }
    if (!outcome.is_again()) {
      raise_if_error(outcome);
      return true;
    }
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    if (deadline.passed()) return false;
  }
}

void bind_communicator(py::module_& module) {
  bind_requests(module);
  py::class_<Communicator>(module, "Communicator", kUnlocked)
      .def_property_readonly("rank", &Communicator::rank)
      .def_property_readonly("world", &Communicator::world)
      .def_property_readonly("name", &Communicator::name)
      .def_property_readonly("transport", &Communicator::transport)
      .def_property_readonly("hosts", &Communicator::hosts)
      .def("topology", &Communicator::topology)
      .def("connect", &connect)
      .def("make_collective_now", &make_collective_now, py::arg("collective"),
           py::keep_alive<0, 1>())
      .def(
          "submit",
          [](Communicator& self, const Request& request, std::uintptr_t in, std::uintptr_t out,
             py::object owner) {
            return submit(self, request, Buffers{in, out}, std::move(owner));
          },
          py::arg("request"), py::arg("input"), py::arg("output"), py::arg("owner"))
      .def("leave", &Communicator::leave, py::arg("grace"), py::arg("why") = "",
           py::call_guard<py::gil_scoped_release>());

  py::class_<Runtime, std::shared_ptr<Runtime>>(module, "Runtime", kUnlocked)
      .def_static(
          "acquire", [](const Config& config) { return value_or_raise(Runtime::acquire(config)); },
          py::arg("config"))
      .def(
          "create_communicator",
          [](Runtime& self, Rank rank, int world, std::string name, std::shared_ptr<Store> store,
             std::optional<Config> config) {
            CommunicatorOptions options{rank, world, std::move(name), std::move(store)};
            return value_or_raise(config ? self.create_communicator(std::move(options), *config)
                                         : self.create_communicator(std::move(options)));
          },
          py::arg("rank"), py::arg("world"), py::arg("name"), py::arg("store"),
          py::arg("config") = py::none());
  py::class_<KeyedCommunicator, std::shared_ptr<KeyedCommunicator>>(module, "KeyedCommunicator",
                                                                    kUnlocked)
      .def_static("create", &create_keyed, py::arg("runtime"), py::arg("rank"), py::arg("world"),
                  py::arg("name"), py::arg("store"), py::arg("config"))
      .def_static("set_of_process", &KeyedCommunicator::set_of_process, py::arg("group").none(true),
                  py::call_guard<py::gil_scoped_release>())
      .def_property_readonly("rank", &KeyedCommunicator::rank)
      .def_property_readonly("world", &KeyedCommunicator::world)
      .def("join", &join)
      .def("leave", &KeyedCommunicator::leave, py::arg("grace"), py::arg("why") = "",
           py::call_guard<py::gil_scoped_release>());
  py::class_<KeyedDeviceGroup, std::shared_ptr<KeyedDeviceGroup>>(module, "KeyedDeviceGroup",
                                                                  kUnlocked)
      .def(py::init(&make_keyed_device_group), py::arg("runtime"), py::arg("name"),
           py::arg("store"), py::arg("config"), py::arg("order"))
      .def_static("set_of_process", &KeyedDeviceGroup::set_of_process, py::arg("group").none(true),
                  py::call_guard<py::gil_scoped_release>())
      .def("transport", &KeyedDeviceGroup::transport, py::call_guard<py::gil_scoped_release>())
      .def("leave", &KeyedDeviceGroup::leave, py::arg("grace"), py::arg("why") = "",
           py::call_guard<py::gil_scoped_release>());
  module.def("leave_all", &Runtime::leave_all, py::arg("why") = "",
             py::call_guard<py::gil_scoped_release>());
}

}  // namespace smddp
