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

/// Collectives over several hosts, as the original has them: inside each host by NCCL or our
/// kernels, and between hosts, through host memory and over all rails, each among the ranks of all
/// hosts that have the same place in theirs. A host sends and receives each byte once.
///
///   all_reduce      a reduce_scatter inside, an all_reduce of each shard, an all_gather inside
///   reduce_scatter  one inside for each host's blocks, then one between hosts
///   all_gather      one between hosts, then one inside for each host's blocks
///
/// In an all_reduce the last rank of a host also takes the elements that are left over when the
/// others get equal shards. An average is one of averages, so 16-bit floats are rounded in both
/// levels, and sums have neither the canonical order nor NCCL's.
class Hierarchy {
 public:
  /// The hosts, as this rank sees them.
  struct Hosts {
    int host = 0;  ///< this rank's
    int count = 1;
    bool in_order = true;  ///< the ranks of a host follow those of the host before it
  };

  /// `between`: the ranks with this rank's place, one of each host.
  Hierarchy(std::shared_ptr<const cuda::Gpu> gpu, std::shared_ptr<StreamMember> inside,
            std::unique_ptr<Communicator> between, HostPlace place, Hosts hosts)
      : gpu_(std::move(gpu)),
        inside_(std::move(inside)),
        between_(std::move(between)),
        place_(place),
        hosts_(hosts) {}

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
  // all_reduce
  Status scatter(const Request& request, cuda::Stream stream, const Ends& ends);
  Status exchange(const Request& request, cuda::Stream stream, const Ends& ends);
  Status gather(const Request& request, cuda::Stream stream, const Ends& ends);

  Status reduce_scatter(const Request& request, cuda::Stream stream, const Ends& ends);
  Status all_gather(const Request& request, cuda::Stream stream, const Ends& ends);
  /// The reduce_scatter inside of the blocks of all hosts, to `host`.
  Status bring_blocks(const Request& request, std::byte* host, cuda::Stream stream,
                      const std::function<bool()>& is_over);
  /// The blocks of this rank's place in all hosts, from `host` to where they belong.
  Status take_blocks(const Request& request, const std::byte* host, cuda::Stream stream);

  std::shared_ptr<StagedOperation> staged(Request piece, StagedOperation::Extent extent,
                                          const Ends& ends, StagedMoves moves = {});
  void note(const std::shared_ptr<StagedOperation>& piece);
  Status put(const StagedOperations& pieces, cuda::Stream stream, const Ends& ends);
  static std::size_t block(const Request& request);
  bool has_equal_blocks(const Request& request) const;
  std::size_t share(const Request& request) const;
  std::size_t left_over(const Request& request) const;
  bool is_last() const { return place_.rank == place_.ranks - 1; }
  std::byte* shard(const Request& request, Rank rank) const;

  const std::shared_ptr<const cuda::Gpu> gpu_;
  const std::shared_ptr<StreamMember> inside_;
  const std::unique_ptr<Communicator> between_;
  const HostPlace place_;
  const Hosts hosts_;
  std::mutex mutex_;  ///< guards the next two
  std::vector<std::weak_ptr<StagedOperation>> exchanges_;
  bool is_abandoned_ = false;
};

}  // namespace smddp
