#pragma once

#include <unistd.h>

#include <array>
#include <cstdlib>
#include <optional>
#include <string>

#include <torch/csrc/Exceptions.h>
#include <torch/extension.h>

#include "smddp/status.h"
#include "smddp/types.h"

namespace smddp::torch_adapter {

namespace py = pybind11;

/// The failure as a C++ exception that Python sees as the class of `smddp.torch.errors` belonging
/// to its code: an SMDDPError and a torch.distributed.DistBackendError at once. May be called
/// without the interpreter's lock.
inline std::exception_ptr to_exception(const Status& status) {
  const py::gil_scoped_acquire lock;
  try {
    const py::object error =
        py::module_::import("smddp.torch.errors")
            .attr("error_of_status")(static_cast<int>(status.code()), status.message());
    PyErr_SetObject(py::type::of(error).ptr(), error.ptr());
    // torch's own carrier, not pybind11's: a future throws the same object each time it is asked.
    python_error carrier;
    carrier.persist();
    return std::make_exception_ptr(std::move(carrier));
  } catch (...) {
    return std::current_exception();
  }
}

inline void throw_if_error(const Status& status) {
  if (!status.ok()) std::rethrow_exception(to_exception(status));
}

/// "rank 3 (host): ", set when this process makes its first group; messages about wrong arguments
/// begin with it.
inline const std::string& process_prefix(std::optional<Rank> rank = std::nullopt) {
  static std::string prefix;
  if (rank && prefix.empty()) {
    std::array<char, 256> host{};
    ::gethostname(host.data(), host.size() - 1);
    prefix = "rank " + std::to_string(*rank) + " (" + host.data() + "): ";
  }
  return prefix;
}

[[noreturn]] inline void refuse(const std::string& problem) {
  throw_if_error(Status{StatusCode::kInvalidArgument, process_prefix() + problem});
  std::abort();  // not reached
}

/// `condition` holds for every legal argument; `problem` says what the caller must change.
inline void check(bool condition, const char* problem) {
  if (!condition) refuse(problem);
}
/// The same with a function that makes the text: only when it is needed, because a text costs as
/// much as a small operation.
template <typename Problem>
void check(bool condition, const Problem& problem) {
  if (!condition) refuse(problem());
}

}  // namespace smddp::torch_adapter
