#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include <pybind11/pybind11.h>

#include "smddp/status.h"
#include "smddp/types.h"
#include "smddp/work.h"

namespace smddp {

class Communicator;

/// Raises the exception of `smddp.errors` that belongs to the status; returns when it is ok.
void raise_if_error(const Status& status);

template <typename T>
T value_or_raise(Result<T> result) {
  if (!result.ok()) raise_if_error(result.status());
  return std::move(result).value();
}

/// Keeps a Python object alive until an operation is over, on whichever thread that is.
std::shared_ptr<void> keep_alive(pybind11::object object);

/// Waits without the interpreter's lock and lets signal handlers run. True when the operation is
/// over.
bool wait(const Work& work, std::optional<std::chrono::milliseconds> timeout);

void bind_types(pybind11::module_& module);
void bind_cuda(pybind11::module_& module);
void bind_probe(pybind11::module_& module);
void bind_registered(pybind11::module_& module);
void bind_store(pybind11::module_& module);
void bind_topology(pybind11::module_& module);
void bind_simulate(pybind11::module_& module);
void bind_communicator(pybind11::module_& module);
/// collective_now(target, source, op, root) of the communicator, which has to outlive it.
pybind11::object make_collective_now(Communicator& communicator, Collective collective);

}  // namespace smddp
