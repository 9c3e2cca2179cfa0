#pragma once

#include <optional>

#include <torch/extension.h>

namespace smddp::torch_adapter {

/// Releases the interpreter's lock where the calling thread holds it. For what waits and is called
/// by torch with the lock or without.
class Unlocked {
 public:
  Unlocked() {
    if (Py_IsInitialized() != 0 && PyGILState_Check() != 0) released_.emplace();
  }

 private:
  std::optional<pybind11::gil_scoped_release> released_;
};

}  // namespace smddp::torch_adapter
