#include <algorithm>
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

// The way of a small synchronous collective on plain NumPy arrays: between two ranks of one host
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
      // Another package makes their numbers.
      if (dtype == DType::kBFloat16 || dtype >= DType::kFloat8E4m3fn) continue;
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

/// One communicator's way for one collective.
struct Way {
  Communicator* communicator;
  Collective collective;
};

/// What a call brings; all borrowed. `source` is `target` where the collective works in place.
struct Arguments {
  PyObject* target;
  PyObject* source;
  PyObject* op;    ///< a name; any object where the collective has none
  PyObject* root;  ///< a number; any object where the collective has none
};

struct PlainArray {
  DType dtype;
  std::size_t size;
  void* data;
  bool writeable;
};

std::optional<PlainArray> plain_array(PyObject* object) {
  if (!py::isinstance<py::array>(object)) return std::nullopt;
  const auto array = py::reinterpret_borrow<py::array>(object);
  const auto dtype = tables().dtypes.find(array.dtype());
  if (!dtype || (array.flags() & py::array::c_style) == 0) return std::nullopt;
  return PlainArray{*dtype, static_cast<std::size_t>(array.size()), const_cast<void*>(array.data()),
                    array.writeable()};
}

/// Elements of each rank's block, when the arrays fit together.
std::optional<std::size_t> block_count(Collective collective, std::size_t target,
                                       std::size_t source, std::size_t ranks) {
  std::size_t count = source;
  if (collective == Collective::kReduceScatter) count = target;
  if (collective == Collective::kAllToAll) count = source / ranks;
  const bool gathers = collective == Collective::kAllGather || collective == Collective::kAllToAll;
  const bool scatters =
      collective == Collective::kReduceScatter || collective == Collective::kAllToAll;
  const bool fits =
      target == (gathers ? count * ranks : count) && source == (scatters ? count * ranks : count);
  return fits ? std::optional{count} : std::nullopt;
}

bool set_op(Request& request, PyObject* name) {
  const bool reduces = request.collective == Collective::kAllReduce ||
                       request.collective == Collective::kReduce ||
                       request.collective == Collective::kReduceScatter;
  if (!reduces) return true;
  const auto op = tables().ops.find(name);
  if (!op || !is_defined(*op, request.dtype)) return false;
  request.op = *op;
  return true;
}

bool set_root(Request& request, PyObject* number, int ranks) {
  if (request.collective != Collective::kReduce && request.collective != Collective::kBroadcast)
    return true;
  if (PyLong_CheckExact(number) == 0) return false;
  int overflow = 0;
  const long root = PyLong_AsLongAndOverflow(number, &overflow);
  if (overflow != 0 || root < 0 || root >= ranks) return false;
  request.root = static_cast<Rank>(root);
  return true;
}

struct PlainCall {
  Request request;
  std::size_t bytes;  ///< of the larger array
};

/// The request, when the arguments are certainly right.
std::optional<PlainCall> plain_call(const Way& way, const Arguments& arguments) {
  const int ranks = way.communicator->world();
  const auto target = plain_array(arguments.target);
  const auto source = arguments.source == arguments.target ? target : plain_array(arguments.source);
  if (!target || !source || !target->writeable || target->dtype != source->dtype)
    return std::nullopt;
  const auto count =
      block_count(way.collective, target->size, source->size, static_cast<std::size_t>(ranks));
  Request request;
  request.collective = way.collective;
  request.dtype = target->dtype;
  if (!count || !set_op(request, arguments.op) || !set_root(request, arguments.root, ranks))
    return std::nullopt;
  request.count = *count;
  request.in = way.collective == Collective::kBroadcast ? nullptr : source->data;
  request.out = target->data;
  request.synchronous = true;
  return PlainCall{std::move(request),
                   std::max(target->size, source->size) * size_of(target->dtype)};
}

/// Keeps the arrays of one call alive; they go back to Python with the lock held.
struct Holder {
  PyObject* target = nullptr;
  PyObject* source = nullptr;

  Holder() = default;
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;
  void drop() {
    Py_CLEAR(target);
    Py_CLEAR(source);
  }
  ~Holder() {
    if (target == nullptr || Py_IsInitialized() == 0) return;
    const py::gil_scoped_acquire lock;
    drop();
  }
};

/// Keeps the arrays alive for one operation with this thread's holder, so that an operation
/// allocates nothing. An operation that outlasts the call (its wait was interrupted) takes the
/// holder along.
class Lease {
 public:
  explicit Lease(const Arguments& arguments) : holder_(std::exchange(idle(), nullptr)) {
    if (holder_ == nullptr) holder_ = std::make_shared<Holder>();
    holder_->target = Py_NewRef(arguments.target);
    holder_->source = Py_NewRef(arguments.source);
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  ~Lease() {
    if (holder_.use_count() > 1) return;
    holder_->drop();
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

Work submit(Communicator& communicator, Request request, std::size_t bytes) {
  BriefLock lock;
  if (bytes > kBriefBytes) {
    lock.release();
  } else {
    request.before_waiting = [&lock] { lock.release(); };
  }
  return communicator.submit(std::move(request));
}

bool run_now(const Way& way, const Arguments& arguments) {
  std::optional<PlainCall> plain = plain_call(way, arguments);
  if (!plain) return false;
  const Lease lease{arguments};
  plain->request.keep_alive = lease.keep_alive();
  const Work work = submit(*way.communicator, std::move(plain->request), plain->bytes);
  if (Status outcome = work.status(); outcome.is_again()) {
    wait(work, std::nullopt);
  } else {
    raise_if_error(outcome);
  }
  return true;
}

constexpr const char* kCapsuleName = "smddp.Way";

/// `self` is a capsule that holds the way.
PyObject* call(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
  if (count != 4) {
    PyErr_SetString(PyExc_TypeError, "expected target, source, op and root");
    return nullptr;
  }
  try {
    const auto* way = static_cast<const Way*>(PyCapsule_GetPointer(self, kCapsuleName));
    const bool done = run_now(*way, {arguments[0], arguments[1], arguments[2], arguments[3]});
    return PyBool_FromLong(done ? 1 : 0);
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

}  // namespace

py::object make_collective_now(Communicator& communicator, Collective collective) {
  static PyMethodDef definition{
      "collective_now",
      reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&call)),
      METH_FASTCALL,
      "Runs the collective on plain arrays. False, and nothing done, when they are none of those "
      "that this way serves.",
  };
  const auto destroy = [](PyObject* capsule) {
    delete static_cast<Way*>(PyCapsule_GetPointer(capsule, kCapsuleName));
  };
  const py::capsule self{new Way{&communicator, collective}, kCapsuleName, destroy};
  return py::reinterpret_steal<py::object>(PyCFunction_New(&definition, self.ptr()));
}

}  // namespace smddp
