#pragma once

#include <algorithm>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "smddp/device_group.h"

#include "backend.h"

namespace smddp::torch_adapter {

// Operations on tensors of a GPU.

/// The group on the GPU of this rank; made when the first tensor comes, as torch says nothing
/// before.
inline std::shared_ptr<DeviceSide> SmddpBackend::side_of(at::Device device) {
  const Unlocked unlocked;  // before the lock, as errors need the interpreter's
  const std::lock_guard lock{side_mutex_};
  if (side_ == nullptr) {
    const CommunicatorOptions options{rank_, size_, communicator_->name() + "/gpu", store_,
                                      labels_};
    auto group = DeviceGroup::create(*runtime_, options, config_, device.index(), communicator_);
    if (!group.ok()) {
      throw_if_error(
          Status{group.status().code(), process_prefix() + "tensors on " + device.str() +
                                            " cannot be served: " + group.status().message()});
    }
    side_ = std::make_shared<DeviceSide>(device, std::move(group).value());
  }
  check(side_->device() == device, [&] {
    return "the tensor is on " + device.str() + ", but this group works on " +
           side_->device().str() +
           "; a rank has one GPU: call torch.cuda.set_device(LOCAL_RANK) before anything else";
  });
  return side_;
}

/// Null before the first tensor of a GPU.
inline std::shared_ptr<DeviceSide> SmddpBackend::side() {
  const Unlocked unlocked;
  const std::lock_guard lock{side_mutex_};
  return side_;
}

inline WorkPtr SmddpBackend::start_on_device(std::vector<Request> requests, Call call) {
  const auto is_on_device = [](const at::Tensor& buffer) { return !buffer.is_cpu(); };
  const auto first = std::find_if(call.buffers.begin(), call.buffers.end(), is_on_device);
  const at::Device device = first->device();
  for (const at::Tensor& buffer : call.buffers) {
    check(buffer.device() == device, [&] {
      return "all tensors of an operation must be on one device, got " + device.str() + " and " +
             buffer.device().str();
    });
  }
  const std::shared_ptr<DeviceSide> side = side_of(device);
  if (requests.front().message == MessageSide::kNone) side->meet();
  const c10::DeviceGuard guard{device};
  return side->start(std::move(requests), std::move(call), rank_);
}

inline void SmddpBackend::leave(std::chrono::milliseconds grace) {
  const Unlocked unlocked;
  if (const auto device_side = side()) device_side->group().leave(grace);
  communicator_->leave(grace);
}

/// Leaves in order. The grace is for other ranks; the own GPU may be seconds behind.
inline void SmddpBackend::shutdown() {
  const Unlocked unlocked;
  if (const auto device_side = side()) device_side->finish();
  leave(config_.leave_grace);
}

inline std::string SmddpBackend::device_transport() {
  const auto device_side = side();
  return device_side == nullptr ? "unconnected" : device_side->group().transport();
}

}  // namespace smddp::torch_adapter
