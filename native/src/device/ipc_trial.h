#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "smddp/request.h"
#include "smddp/status.h"

#include "device/host_place.h"
#include "device/ipc_rounds.h"
#include "provider/cuda/gpu.h"

namespace smddp {

/// Some collectives with known results, before users' are trusted to a machine: a one-shot and a
/// two-shot all_reduce, and a broadcast.
class IpcTrial {
 public:
  explicit IpcTrial(HostPlace place);

  /// Brings what this rank has, to a part of its slab that rounds do not use.
  Status begin(const cuda::Gpu& gpu, const std::vector<IpcSlab>& slabs, cuda::Stream stream);
  std::span<const Request> requests() const { return requests_; }
  Status take(const cuda::Gpu& gpu, cuda::Stream stream);
  /// Once the stream has come to its end. kSystem: a result is wrong.
  Status check() const;

 private:
  using Number = std::int32_t;

  const HostPlace place_;
  std::byte* memory_ = nullptr;
  std::array<Request, 3> requests_;
  std::vector<Number> numbers_;
};

}  // namespace smddp
