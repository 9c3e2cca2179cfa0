#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "smddp/communicator.h"
#include "smddp/device_group.h"

#include "device/device_meeting.h"
#include "device/hierarchy.h"
#include "device/staged_operation.h"
#include "device/staging.h"
#include "device/stream_member.h"
#include "device/stream_operation.h"
#include "provider/cuda/gpu.h"

namespace smddp {

/// A DeviceGroup's engine side.
///
/// Its ranks have a communicator of their own, for collectives that go through host memory and so
/// that the engine looks after those of NCCL. Each collective is put on the stream and into the
/// queue of that communicator under one lock, so that both have one order. Messages go through the
/// communicator for host memory, which two ranks can use while others do nothing.
class DeviceGroupImpl final : public Dependent,
                              public StagedOperationOwner,
                              public std::enable_shared_from_this<DeviceGroupImpl> {
 public:
  /// Makes a communicator of some of the ranks.
  using Maker = std::function<Result<std::unique_ptr<Communicator>>(CommunicatorOptions)>;

  DeviceGroupImpl(std::shared_ptr<cuda::Gpu> gpu, CommunicatorOptions options, const Config& config,
                  std::shared_ptr<Communicator> messages, Maker make);
  /// Before anything else, once.
  void adopt(std::unique_ptr<Communicator> members) { members_ = std::move(members); }

  Status meet();
  Work submit(Request request, cuda::Stream stream);
  /// As DeviceGroup::finish.
  Status finish();
  void leave(std::chrono::milliseconds grace, const std::string& why);
  std::string transport() const;
  std::chrono::milliseconds leave_grace() const { return config_.leave_grace; }

  // Dependent
  Status look(const MembersView&) override { return {}; }
  void fail(const Status& failure) override;

  // StagedOperationOwner
  void wake() override { members_->wake(); }
  void later(std::function<void()> task) override { members_->later(std::move(task)); }

 private:
  using Put = std::function<Status(const std::shared_ptr<StreamOperation>&)>;

  Work refuse_capture(Request& request) const;
  Work submit_captured(Request request, cuda::Stream stream);
  Work submit_on_stream(Request request, cuda::Stream stream);
  Work submit_in_levels(Request request, cuda::Stream stream);
  Work submit_staged(Request request, cuda::Stream stream);
  Work submit_message(Request request, cuda::Stream stream);
  Status put_on_stream(const Request& request, cuda::Stream stream,
                       const std::function<bool()>& is_over);
  Work look_after(Request request, cuda::Stream stream, const Put& put);
  Status settle();
  std::shared_ptr<StagedOperation> staged(Request request);
  Status refusal() const;
  /// Whether it goes without host memory, at least inside hosts.
  bool is_served(const Request& request) const;
  bool stays_on_gpu(const Request& request) const;
  bool is_alone() const { return options_.world == 1; }
  Status check(const Request& request) const;
  Status explained(const Status& failure) const;

  const std::shared_ptr<cuda::Gpu> gpu_;
  const CommunicatorOptions options_;
  const Config config_;
  const std::shared_ptr<Communicator> messages_;
  const std::shared_ptr<StagingPool> pool_;
  const Maker make_;
  std::unique_ptr<Communicator> members_;

  std::mutex meeting_mutex_;  ///< guards the next two
  DeviceMeeting meeting_;
  Status meeting_failure_;
  std::atomic<bool> has_met_{false};
  // Set before has_met_ is, and then stay.
  std::shared_ptr<StreamMember> member_;  ///< null: host memory
  std::unique_ptr<Hierarchy> hierarchy_;  ///< null: the member, if there is one, serves all ranks

  std::mutex order_;  ///< held while a collective is submitted, and for the next two
  Work last_{Status{}};
  std::weak_ptr<StagedOperation> last_send_;
};

}  // namespace smddp
