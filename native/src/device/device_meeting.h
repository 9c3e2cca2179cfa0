#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "smddp/communicator.h"
#include "smddp/config.h"
#include "smddp/work.h"

#include "device/choice.h"
#include "device/host_place.h"
#include "device/ipc_member.h"
#include "device/nccl_member.h"
#include "device/stream_member.h"
#include "device/streams_wait.h"
#include "provider/cuda/gpu.h"
#include "topology/placement.h"

namespace smddp {

/// How the ranks of a DeviceGroup agree on what they use, and join NCCL or reach each other's
/// memory: operations of their communicator, so that who is missing is named as ever.
class DeviceMeeting {
 public:
  DeviceMeeting(std::shared_ptr<const cuda::Gpu> gpu, const CommunicatorOptions& options,
                const Config& config)
      : gpu_(std::move(gpu)), options_(options), config_(config) {}

  /// Waits for the others. Ok when all have met; "again" when a signal arrived: call it again. A
  /// rank that wants host memory has nothing to wait for: the others compare what it tells them.
  Status go_on(Communicator& members);
  /// They will not meet any more: ends what this rank has begun.
  void give_up();
  // Once they have met:
  GpuCollectives way() const noexcept { return choice_.way; }
  /// Null where operations go through host memory; of the ranks of this host where they go in
  /// levels.
  const std::shared_ptr<StreamMember>& member() const noexcept { return member_; }
  const Placement& placement() const noexcept { return placement_; }

 private:
  enum class Step : unsigned char { kFacts, kCards, kJoin, kTry, kMet };

  Status begin(Communicator& members);
  Status begin_facts(Communicator& members);
  Status begin_cards(Communicator& members);
  Status begin_join(Communicator& members);
  Status end(const Communicator& members);
  Status choose_from_facts(const Communicator& members);
  Result<std::vector<std::byte>> card();
  Status join(Communicator& members);
  Status reach(Communicator& members);
  Status try_out(Communicator& members);
  /// All ranks learn whether this one could.
  void tell(Communicator& members, const Status& outcome);
  void learn_slabs();
  /// Nobody goes a way that one cannot. Whether all can.
  Result<bool> can_all();
  nccl::Membership membership() const;
  /// Those that do without host memory together: all, or those of this rank's host.
  std::vector<Rank> ranks_inside() const;
  HostPlace place_inside() const;
  void warn(const std::string& why) const;

  const std::shared_ptr<const cuda::Gpu> gpu_;
  const CommunicatorOptions& options_;
  const Config& config_;
  std::optional<StreamsWait> waiting_;  ///< while they meet: joining, and trials, wait for others
  Step step_ = Step::kFacts;
  GpuCollectives wanted_ = GpuCollectives::kAuto;
  std::optional<Work> pending_;  ///< of the step
  std::vector<std::byte> mine_;
  std::vector<std::byte> facts_;
  std::vector<std::byte> cards_;     ///< of all ranks
  std::vector<std::byte> verdicts_;  ///< of all ranks: whether they reach the others, and where
  Placement placement_ = Placement::one_host(1);
  GpuChoice choice_;
  bool adds_float8_ = false;
  IpcTerms terms_;
  std::optional<nccl::Library> nccl_;
  std::optional<cuda::KernelImage> kernels_;
  std::shared_ptr<IpcMember> ipc_;
  std::shared_ptr<StreamMember> member_;
};

}  // namespace smddp
