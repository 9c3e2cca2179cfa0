#include <array>
#include <bit>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <pybind11/gil_safe_call_once.h>
#include <pybind11/numpy.h>

#include "smddp/communicator.h"

#include "bind.h"

// The way of a small synchronous all_reduce on a plain NumPy array: between two ranks of one host
// the engine needs less than a microsecond, and pybind11's dispatch with a Request object several.
// What is unusual in any way is left to the general way, which also words the refusals.

namespace smddp {

namespace py = pybind11;

namespace {

/// NumPy's numbers of built-in element types, to ours.
class DTypeTable {
 public:
  DTypeTable() {
    for (int i = 0; i < kDTypeCount; ++i) {
      const auto dtype = static_cast<DType>(i);
      if (dtype == DType::kBFloat16) continue;  // its number is made by another package
      dtypes_.at(static_cast<std::size_t>(py::dtype{std::string{name_of(dtype)}}.num())) = dtype;
    }
  }

  std::optional<DType> find(const py::dtype& dtype) const {
    const auto number = static_cast<std::size_t>(dtype.num());
    if (number >= dtypes_.size() || dtype.byteorder() == kForeignOrder) return std::nullopt;
    return dtypes_[number];
  }

 private:
  static constexpr char kForeignOrder = '>';
  static_assert(std::endian::native == std::endian::little);
  std::array<std::optional<DType>, 32> dtypes_;
};

/// The operations by name. Python has one copy of each name that stands in a program's text, so the
/// address nearly always decides.
class OpTable {
 public:
  OpTable() {
    for (int i = 0; i < kReduceOpCount; ++i) {
      names_.at(static_cast<std::size_t>(i)) =
          PyUnicode_InternFromString(std::string{name_of(static_cast<ReduceOp>(i))}.c_str());
    }
  }

  std::optional<ReduceOp> find(PyObject* name) const {
    for (std::size_t i = 0; i < names_.size(); ++i) {
      if (names_[i] == name) return static_cast<ReduceOp>(i);
    }
    if (PyUnicode_CheckExact(name) == 0) return std::nullopt;
    for (std::size_t i = 0; i < names_.size(); ++i) {
      if (PyUnicode_Compare(names_[i], name) == 0) return static_cast<ReduceOp>(i);
    }
    return std::nullopt;
  }

 private:
  std::array<PyObject*, kReduceOpCount> names_{};  ///< as long as the process
};

struct Tables {
  DTypeTable dtypes;
  OpTable ops;
};

/// Not a plain static: making them runs Python, which may pass the interpreter's lock to a thread
/// that then waits here with it.
const Tables& tables() {
  PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<Tables> storage;
  return storage.call_once_and_store_result([] { return Tables{}; }).get_stored();
}

/// The request, when the arguments are certainly right.
std::optional<Request> plain_request(PyObject* object, PyObject* op_name) {
  if (!py::isinstance<py::array>(object)) return std::nullopt;
  const auto array = py::reinterpret_borrow<py::array>(object);
  const auto op = tables().ops.find(op_name);
  const auto dtype = tables().dtypes.find(array.dtype());
  const bool contiguous = (array.flags() & py::array::c_style) != 0;
  if (!contiguous || !array.writeable() || !op || !dtype || !is_defined(*op, *dtype))
    return std::nullopt;
  Request request;
  request.collective = Collective::kAllReduce;
  request.dtype = *dtype;
  request.op = *op;
  request.count = static_cast<std::size_t>(array.size());
  request.out = const_cast<void*>(array.data());
  request.in = request.out;
  request.synchronous = true;
  return request;
}

/// Keeps one Python object alive; the object goes back to Python with the lock held.
struct Holder {
  PyObject* held = nullptr;

  Holder() = default;
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;
  ~Holder() {
    if (held == nullptr || Py_IsInitialized() == 0) return;
    const py::gil_scoped_acquire lock;
    Py_DECREF(held);
  }
};

/// Keeps an object alive for one operation with this thread's holder, so that an operation
/// allocates nothing. An operation that outlasts the call (its wait was interrupted) takes the
/// holder along.
class Lease {
 public:
  explicit Lease(PyObject* object) : holder_(std::exchange(idle(), nullptr)) {
    if (holder_ == nullptr) holder_ = std::make_shared<Holder>();
    holder_->held = Py_NewRef(object);
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  ~Lease() {
    if (holder_.use_count() > 1) return;
    Py_CLEAR(holder_->held);
    idle() = std::move(holder_);
  }
  std::shared_ptr<void> keep_alive() const { return holder_; }

 private:
  static std::shared_ptr<Holder>& idle() {
    thread_local std::shared_ptr<Holder> mine;
    return mine;
  }

  std::shared_ptr<Holder> holder_;
};

/// Up to here an operation between ranks that are all there takes some microseconds, and keeping
/// the interpreter's lock is cheaper than dropping it; the engine says when it takes longer.
constexpr std::size_t kBriefBytes = 32 * 1024;

/// The interpreter's lock, held until somebody has to wait.
class BriefLock {
 public:
  BriefLock() = default;
  BriefLock(const BriefLock&) = delete;
  BriefLock& operator=(const BriefLock&) = delete;
  ~BriefLock() {
    if (released_ != nullptr) PyEval_RestoreThread(released_);
  }
  void release() { released_ = PyEval_SaveThread(); }

 private:
  PyThreadState* released_ = nullptr;
};

Work submit(Communicator& communicator, Request request) {
  BriefLock lock;
  if (request.count * size_of(request.dtype) > kBriefBytes) {
    lock.release();
  } else {
    request.before_waiting = [&lock] { lock.release(); };
  }
  return communicator.submit(std::move(request));
}

bool all_reduce_now(Communicator& communicator, PyObject* array, PyObject* op) {
  std::optional<Request> request = plain_request(array, op);
  if (!request) return false;
  const Lease lease{array};
  request->keep_alive = lease.keep_alive();
  const Work work = submit(communicator, *std::move(request));
  if (Status outcome = work.status(); outcome.is_again()) {
    wait(work, std::nullopt);
  } else {
    raise_if_error(outcome);
  }
  return true;
}

constexpr const char* kCapsuleName = "smddp.Communicator";

/// `self` is a capsule that holds the communicator.
PyObject* call(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
  if (count != 2) {
    PyErr_SetString(PyExc_TypeError, "all_reduce_now takes an array and the name of an operation");
    return nullptr;
  }
  try {
    auto* communicator = static_cast<Communicator*>(PyCapsule_GetPointer(self, kCapsuleName));
    return PyBool_FromLong(all_reduce_now(*communicator, arguments[0], arguments[1]) ? 1 : 0);
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

}  // namespace

py::object make_all_reduce_now(Communicator& communicator) {
  static PyMethodDef definition{
      "all_reduce_now",
      reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&call)),
      METH_FASTCALL,
      "Reduces a plain array in place. False, and nothing done, when it is none of those that this "
      "way serves.",
  };
  const py::capsule self{&communicator, kCapsuleName};
  return py::reinterpret_steal<py::object>(PyCFunction_New(&definition, self.ptr()));
}

}  // namespace smddp
