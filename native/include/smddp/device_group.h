#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "smddp/communicator.h"
#include "smddp/config.h"
#include "smddp/export.h"
#include "smddp/request.h"
#include "smddp/runtime.h"
#include "smddp/work.h"

namespace smddp {

class DeviceGroupImpl;

/// A GPU's stream: cudaStream_t, or CUstream; null is the legacy default stream.
using DeviceStream = void*;

/// A group of ranks that each bring a GPU, and run collectives on its memory in the order of its
/// streams.
///
/// Operations go by NCCL where it serves all members, and else through pinned host memory and this
/// library's own collectives, also those that NCCL has not: a rank's choice is that of all. Either
/// way `submit` returns when the operation is on the stream, and the engine looks after it with
/// deadlines and named culprits. Thread-safe; after a failure terminal, as Communicator.
class SMDDP_API DeviceGroup {
 public:
  /// `options`: of a communicator that the group makes for itself, but for the dependent.
  /// `ordinal`: of this rank's GPU, as the CUDA runtime counts. `messages`: a communicator of the
  /// same ranks, which messages between two of them go through; null where there are none. kConfig:
  /// there is no driver; kSystem: no such GPU.
  static Result<std::unique_ptr<DeviceGroup>> create(Runtime& runtime, CommunicatorOptions options,
                                                     const Config& config, int ordinal,
                                                     std::shared_ptr<Communicator> messages);
  explicit DeviceGroup(std::shared_ptr<DeviceGroupImpl> impl);
  ~DeviceGroup();
  DeviceGroup(const DeviceGroup&) = delete;
  DeviceGroup& operator=(const DeviceGroup&) = delete;

  /// Meets the other members, which the first collective does too. Waits for them, at most for the
  /// timeout. "Again" when a signal arrived first: call it again.
  Status meet();
  /// Puts an operation on the stream, whose `in` and `out` are the GPU's memory. Waits for other
  /// ranks only in the first collective, and where NCCL makes its connections. Messages of one
  /// rank have to be given to one stream, or in the order that the streams have.
  ///
  /// What goes wrong at once is the outcome of the handle; `on_complete` is called in any case, and
  /// when the GPU is done with the operation. (The handle alone tells less: of what goes through
  /// host memory, that it is over there.) While a stream captures a graph, what NCCL does
  /// becomes a part of it, and nobody looks after it.
  Work submit(Request request, DeviceStream stream);
  /// Waits until this rank's GPU has done its part of the collectives and sends that it has been
  /// given, however far behind it is; each has its deadline. "Again" when a signal arrived first,
  /// and now and then: call it again.
  Status finish();
  /// As Communicator::leave. Leaves the communicator for messages too where NCCL is in use.
  void leave(std::chrono::milliseconds grace, const std::string& why = {});

  /// "nccl"; "nccl+host" where that serves hosts and host memory what is between them; or how host
  /// memory reaches the others: "host+shm", "host+shm+tcp"; "none" for a world of one;
  /// "unconnected" before the members met.
  std::string transport() const;

 private:
  std::shared_ptr<DeviceGroupImpl> impl_;
};

}  // namespace smddp
