#include <string>

#include <pybind11/stl.h>

#include "smddp/costs.h"
#include "smddp/simulate.h"

#include "bind.h"

namespace smddp {

namespace py = pybind11;

namespace {

void bind_costs(py::module_& module) {
  py::class_<LinkRate>(module, "LinkRate")
      .def(py::init<std::size_t, double>(), py::arg("bytes"), py::arg("seconds_per_byte"))
      .def_readwrite("bytes", &LinkRate::bytes)
      .def_readwrite("seconds_per_byte", &LinkRate::seconds_per_byte);
  py::class_<Costs>(module, "Costs")
      .def(py::init<>())
      .def_readwrite("hop", &Costs::hop)
      .def_readwrite("message", &Costs::message)
      .def_readwrite("link", &Costs::link)
      .def_readwrite("reduce", &Costs::reduce)
      .def_readwrite("native_step", &Costs::native_step)
      .def_readwrite("native", &Costs::native);
  module.def(
      "costs_between",
      py::overload_cast<const Topology&, const MeasuredCosts&, const std::string&>(&costs_between),
      py::arg("topology"), py::arg("measured") = MeasuredCosts{}, py::arg("transport") = "");
  module.def(
      "encode_costs", [](const MeasuredCosts& measured) { return py::bytes(encode(measured)); },
      py::arg("measured"));
}

void bind_demand(py::module_& module) {
  py::class_<Demand>(module, "Demand")
      .def(py::init<>())
      .def_readwrite("hops", &Demand::hops)
      .def_readwrite("messages", &Demand::messages)
      .def_readwrite("wire", &Demand::wire)
      .def_readwrite("piece", &Demand::piece)
      .def_readwrite("reduced", &Demand::reduced)
      .def_readwrite("native_steps", &Demand::native_steps)
      .def_readwrite("native", &Demand::native)
      .def_readwrite("segments", &Demand::segments);
}

void bind_plans(py::module_& module) {
  py::class_<CollectiveCall>(module, "CollectiveCall")
      .def(py::init<>())
      .def_readwrite("collective", &CollectiveCall::collective)
      .def_readwrite("dtype", &CollectiveCall::dtype)
      .def_readwrite("op", &CollectiveCall::op)
      .def_readwrite("count", &CollectiveCall::count)
      .def_readwrite("root", &CollectiveCall::root);
  py::class_<PlanSettings>(module, "PlanSettings")
      .def(py::init<>())
      .def_readwrite("costs", &PlanSettings::costs)
      .def_readwrite("order", &PlanSettings::order)
      .def_readwrite("partials", &PlanSettings::partials);
  py::class_<PlanOption>(module, "PlanOption")
      .def_readonly("algorithm", &PlanOption::algorithm)
      .def_readonly("seconds", &PlanOption::seconds)
      .def_readonly("demand", &PlanOption::demand)
      .def_readonly("excluded", &PlanOption::excluded);
  module.def(
      "plan_options",
      [](const CollectiveCall& call, const Topology& topology, const PlanSettings& settings) {
        return value_or_raise(plan_options(call, topology, settings));
      },
      py::arg("call"), py::arg("topology"), py::arg("settings"));
}

void bind_machine(py::module_& module) {
  py::class_<SimulatedMachine>(module, "SimulatedMachine")
      .def(py::init<>())
      .def_readwrite("efficiency", &SimulatedMachine::efficiency)
      .def_readwrite("burst", &SimulatedMachine::burst)
      .def_readwrite("own_rails", &SimulatedMachine::own_rails)
      .def_readwrite("send_byte", &SimulatedMachine::send_byte)
      .def_readwrite("receive_byte", &SimulatedMachine::receive_byte)
      .def_readwrite("processors", &SimulatedMachine::processors)
      .def_readwrite("one_machine", &SimulatedMachine::one_machine)
      .def_readwrite("wake", &SimulatedMachine::wake)
      .def_readwrite("incast", &SimulatedMachine::incast)
      .def_readwrite("start_skew", &SimulatedMachine::start_skew)
      .def_readwrite("seed", &SimulatedMachine::seed);
}

void bind_simulation(py::module_& module) {
  py::class_<SimulatedCall>(module, "SimulatedCall")
      .def(py::init<>())
      .def_readwrite("call", &SimulatedCall::call)
      .def_readwrite("algorithm", &SimulatedCall::algorithm)
      .def_readwrite("ready", &SimulatedCall::ready);
  py::class_<SimulationOptions>(module, "SimulationOptions")
      .def(py::init<>())
      .def_readwrite("in_flight", &SimulationOptions::in_flight)
      .def_readwrite("fold", &SimulationOptions::fold)
      .def_readwrite("timeline", &SimulationOptions::timeline);
  py::class_<SimulatedStep>(module, "SimulatedStep")
      .def_readonly("rank", &SimulatedStep::rank)
      .def_readonly("call", &SimulatedStep::call)
      .def_readonly("kind", &SimulatedStep::kind)
      .def_readonly("peer", &SimulatedStep::peer)
      .def_readonly("bytes", &SimulatedStep::bytes)
      .def_readonly("begin", &SimulatedStep::begin)
      .def_readonly("end", &SimulatedStep::end);
  py::class_<Simulation>(module, "Simulation")
      .def_readonly("seconds", &Simulation::seconds)
      .def_readonly("ends", &Simulation::ends)
      .def_readonly("ranks", &Simulation::ranks)
      .def_readonly("messages", &Simulation::messages)
      .def_readonly("sent_bytes", &Simulation::sent_bytes)
      .def_readonly("steps", &Simulation::steps);
  module.def(
      "simulate",
      [](const std::vector<SimulatedCall>& calls, const Topology& topology,
         const PlanSettings& settings, const SimulatedMachine& machine,
         const SimulationOptions& options) {
        const auto run = [&] {
          const py::gil_scoped_release release;
          return simulate(calls, topology, settings, machine, options);
        };
        return value_or_raise(run());
      },
      py::arg("calls"), py::arg("topology"), py::arg("settings"), py::arg("machine"),
      py::arg("options"));
}

}  // namespace

void bind_simulate(py::module_& module) {
  bind_costs(module);
  bind_demand(module);
  bind_plans(module);
  bind_machine(module);
  bind_simulation(module);
}

}  // namespace smddp
