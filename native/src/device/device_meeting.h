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
#include "device/nccl_member.h"
#include "provider/cuda/gpu.h"
#include "topology/placement.h"

namespace smddp {

/// How the ranks of a DeviceGroup agree on what they use, and join NCCL: operations of their
/// communicator, so that who is missing is named as ever.
class DeviceMeeting {
 public:
  DeviceMeeting(std::shared_ptr<const cuda::Gpu> gpu, const CommunicatorOptions& options,
                const Config& config)
      : gpu_(std::move(gpu)), options_(options), config_(config) {}

  /// Waits for the others. Ok when all have met; "again" when a signal arrived: call it again. A
  /// rank that wants host memory has nothing to wait for: the others compare what it tells them.
  Status go_on(Communicator& members);
  // Once they have met:
  GpuCollectives way() const noexcept { return way_; }
  /// Null where operations go through host memory; the ranks of this host where they go in levels.
  const std::shared_ptr<NcclMember>& nccl() const noexcept { return nccl_; }
  const Placement& placement() const noexcept { return placement_; }
  /// Whether NCCL adds float8 on all GPUs.
  bool adds_float8() const noexcept { return adds_float8_; }

 private:
  enum class Step : unsigned char { kFacts, kIds, kJoin, kMet };

  Status begin(Communicator& members);
  Status begin_facts(Communicator& members);
  Status begin_ids(Communicator& members);
  Status begin_join(Communicator& members);
  Status end(const Communicator& members);
  Status choose_from_facts();
  nccl::Membership membership() const;
  /// Of this rank's NCCL communicator; it makes the id.
  Rank first_rank() const;

  const std::shared_ptr<const cuda::Gpu> gpu_;
  const CommunicatorOptions& options_;
  const Config& config_;
  Step step_ = Step::kFacts;
  GpuCollectives wanted_ = GpuCollectives::kAuto;
  std::optional<Work> pending_;  ///< of the step
  std::vector<std::byte> mine_;
  std::vector<std::byte> facts_;
  std::vector<std::byte> ids_;  ///< of all ranks; only the first of each NCCL communicator has one
  Placement placement_ = Placement::one_host(1);
  GpuCollectives way_ = GpuCollectives::kHost;
  bool adds_float8_ = false;
  std::shared_ptr<NcclMember> nccl_;
};

}  // namespace smddp
