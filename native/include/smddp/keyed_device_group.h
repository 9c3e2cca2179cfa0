#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "smddp/config.h"
#include "smddp/device_group.h"
#include "smddp/export.h"
#include "smddp/keyed_communicator.h"
#include "smddp/request.h"
#include "smddp/runtime.h"

namespace smddp {

class DeviceTurns;

/// A copy inside a GPU's memory.
struct DeviceCopy {
  void* to = nullptr;
  const void* from = nullptr;
  std::size_t bytes = 0;
};

/// A collective on a GPU's memory.
struct DeviceRequest {
  Request request;                   ///< whose `in` and `out` are the GPU's memory
  int ordinal = 0;                   ///< of this rank's GPU, as the CUDA runtime counts
  DeviceStream after = nullptr;      ///< what this stream has been given comes first
  std::vector<DeviceCopy> before{};  ///< done next: several tensors become one
  std::vector<DeviceCopy> behind{};  ///< done last: one becomes several
};

/// A KeyedCommunicator's collectives on the memory of GPUs, one for each rank.
///
/// Ranks agree on the order, and that all are there, through a KeyedCommunicator (4 bytes for each
/// collective). Then a thread gives the collectives to a DeviceGroup, on a stream of its own. While
/// a rank has joined (KeyedCommunicator::join), which may never have had a GPU, they go through
/// host memory. Thread-safe; after a failure terminal.
class SMDDP_API KeyedDeviceGroup {
 public:
  /// `options`: of the communicator that the DeviceGroup makes. That is made when the first
  /// collective's turn comes, so nothing of CUDA is needed before.
  KeyedDeviceGroup(const Runtime& runtime, CommunicatorOptions options, const Config& config,
                   std::shared_ptr<KeyedCommunicator> order);
  ~KeyedDeviceGroup();
  KeyedDeviceGroup(const KeyedDeviceGroup&) = delete;
  KeyedDeviceGroup& operator=(const KeyedDeviceGroup&) = delete;

  /// The one that graph ops use, as KeyedCommunicator::of_process.
  static std::shared_ptr<KeyedDeviceGroup> of_process();
  static void set_of_process(std::shared_ptr<KeyedDeviceGroup> group);

  /// Starts a collective, and neither waits for the stream nor lets it wait. `on_complete` is
  /// called when the GPU is done with it, and may not wait for another one. When it has failed, a
  /// kernel may still be at its tensors: until there is none, `keep_alive` is kept.
  void submit(const std::string& key, DeviceRequest request);
  /// As Communicator::leave, of the order's group too if any collective was submitted. The order's
  /// `join` wants none of this rank's collectives under way.
  void leave(std::chrono::milliseconds grace, const std::string& why = {});
  /// As DeviceGroup::transport.
  std::string transport() const;

 private:
  std::shared_ptr<DeviceTurns> turns_;
  std::chrono::milliseconds leave_grace_;
};

}  // namespace smddp
