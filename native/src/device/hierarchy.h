#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "smddp/communicator.h"
#include "smddp/request.h"

#include "device/host_place.h"
#include "device/staged_operation.h"
#include "device/staging.h"
#include "device/stream_member.h"
#include "provider/cuda/gpu.h"

namespace smddp {

/// An all_reduce in three levels, as the original has it: a reduce_scatter inside each host by NCCL
/// or our kernels, an all_reduce of each shard among the ranks of all hosts that hold it, through
/// host memory and over all rails, and an all_gather inside each host. A host sends and receives
/// each byte once.
///
/// The last rank of a host also takes the elements that are left over when the others get equal
/// shards. An average is one of averages, so 16-bit floats are rounded in both levels, and sums
/// have neither the canonical order nor NCCL's.
class Hierarchy {
 public:
  /// `between`: the ranks with this rank's place, one of each host.
  Hierarchy(std::shared_ptr<const cuda::Gpu> gpu, std::shared_ptr<StreamMember> inside,
            std::unique_ptr<Communicator> between, HostPlace place)
      : gpu_(std::move(gpu)),
        inside_(std::move(inside)),
        between_(std::move(between)),
        place_(place) {}

  /// Whether it is for this operation; for others host memory is.
  bool suits(const Request& request) const;
  /// What the levels need besides the request.
  struct Ends {
    std::shared_ptr<StagedOperationOwner> owner;
    StagingPool& pool;
    std::function<bool()> is_over;          ///< see StreamMember::enqueue
    StagedOperation::OnFailure on_failure;  ///< between the hosts
  };
  /// Puts all of it on the stream.
  Status enqueue(const Request& request, cuda::Stream stream, const Ends& ends);
  /// Ends what goes on between the hosts, so that no stream waits for it. Only when the ranks of
  /// this host can see that their group has failed: what they then gather is no result.
  void abandon(const std::string& why);
  void leave(std::chrono::milliseconds grace) { between_->leave(grace); }

 private:
  Status scatter(const Request& request, cuda::Stream stream, const Ends& ends);
  Status exchange(const Request& request, cuda::Stream stream, const Ends& ends);
  Status gather(const Request& request, cuda::Stream stream, const Ends& ends);
  std::shared_ptr<StagedOperation> note(Request piece, const Ends& ends);
  std::size_t share(const Request& request) const;
  std::size_t left_over(const Request& request) const;
  bool is_last() const { return place_.rank == place_.ranks - 1; }
  std::byte* shard(const Request& request, Rank rank) const;

  const std::shared_ptr<const cuda::Gpu> gpu_;
  const std::shared_ptr<StreamMember> inside_;
  const std::unique_ptr<Communicator> between_;
  const HostPlace place_;
  std::mutex mutex_;  ///< guards the next
  std::vector<std::weak_ptr<StagedOperation>> exchanges_;
};

}  // namespace smddp
