#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "smddp/keyed_communicator.h"
#include "smddp/request.h"
#include "smddp/status.h"

#include "device/staging.h"
#include "provider/cuda/gpu.h"

namespace smddp {

/// Memory that the GPU may yet write to, though nobody waits for it any more.
inline void keep_for_good(std::shared_ptr<void> memory) {
  static_cast<void>(new std::shared_ptr<void>{std::move(memory)});
}

/// The GPU has not come to something in time.
Status stuck_status();

/// A GPU's collective in host memory, among ranks of which some have joined and bring nothing, nor
/// perhaps ever had a GPU. One step after the other: that is rare.
class HostDetour {
 public:
  HostDetour(std::shared_ptr<const cuda::Gpu> gpu, std::shared_ptr<KeyedCommunicator> order);

  /// `request`: on the GPU's memory, after what the stream was given before. Waits for the other
  /// ranks.
  Status run(const std::string& key, Request request, cuda::Stream stream) const;
  /// Until the stream is through with the memory.
  Status wait_for(cuda::Stream stream, std::chrono::milliseconds timeout,
                  const std::shared_ptr<void>& memory) const;

 private:
  const std::shared_ptr<const cuda::Gpu> gpu_;
  const std::shared_ptr<KeyedCommunicator> order_;
  const std::shared_ptr<StagingPool> pool_;
};

}  // namespace smddp
