#pragma once

#include <memory>

#include <pybind11/pybind11.h>

#include "smddp/status.h"

namespace smddp {

/// Raises the exception of `smddp.errors` that belongs to the status; returns when it is ok.
void raise_if_error(const Status& status);

template <typename T>
T value_or_raise(Result<T> result) {
  if (!result.ok()) raise_if_error(result.status());
  return std::move(result).value();
}

/// Keeps a Python object alive until an operation is over, on whichever thread that is.
std::shared_ptr<void> keep_alive(pybind11::object object);

void bind_types(pybind11::module_& module);
void bind_store(pybind11::module_& module);
void bind_communicator(pybind11::module_& module);

}  // namespace smddp
