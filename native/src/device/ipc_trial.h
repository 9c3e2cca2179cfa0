#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

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
  /// `slab`: of this rank, whose spare part is used. `pinned`: as many bytes of the host.
  IpcTrial(HostPlace place, IpcSlab slab, std::byte* pinned);

  /// Brings what this rank has.
  Status begin(const cuda::Gpu& gpu, cuda::Stream stream);
  std::span<const Request> requests() const { return requests_; }
  Status take(const cuda::Gpu& gpu, cuda::Stream stream);
  /// Once the stream has come to its end. kSystem: a result is wrong.
  Status check() const;

 private:
  using Number = std::int32_t;

  const HostPlace place_;
  std::byte* const memory_;
  Number* const numbers_;
  std::array<Request, 3> requests_;
};

}  // namespace smddp
