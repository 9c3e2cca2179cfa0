#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/extension.h>

#include "smddp/device_group.h"

#include "device_work.h"
#include "errors.h"
#include "unlocked.h"

namespace smddp::torch_adapter {

/// The stream as CUDA knows it; torch tells it from 2.11 on.
template <typename Stream>
DeviceStream native_stream(const Stream& stream) {
  if constexpr (requires { stream.native_handle(); }) {
    return stream.native_handle();
  } else {
    refuse("CUDA tensors need torch 2.11 or newer; move them with .cpu()");
  }
}

/// A group on its rank's GPU: the engine's group, and streams for operations that nobody waits for
/// at once. Through c10's common interface to devices, so that this module needs no CUDA.
class DeviceSide {
 public:
  DeviceSide(at::Device device, std::unique_ptr<DeviceGroup> group)
      : device_(device),
        guard_(device.type()),
        collectives_(new_stream(false)),
        group_(std::move(group)) {}

  at::Device device() const { return device_; }
  DeviceGroup& group() { return *group_; }

  /// Meets the other ranks; signal handlers run meanwhile.
  void meet() {
    const Unlocked unlocked;
    Status met = group_->meet();
    for (; met.is_again(); met = group_->meet()) run_signal_handlers();
    throw_if_error(met);
  }

  /// Waits until the collectives are done that this rank's GPU was given, and the current stream.
  void synchronize() const {
    for (const c10::Stream& stream : {collectives_, guard_.getStream(device_)}) {
      c10::Event here{device_.type()};
      here.record(stream);
      for (int turn = 1; !here.query(); ++turn) {
        std::this_thread::sleep_for(std::chrono::microseconds{50});
        if (turn % kTurnsPerSignal == 0) run_signal_handlers();
      }
    }
  }

  /// Waits until this rank's GPU has done its part of everything.
  void finish() {
    while (group_->finish().is_again()) run_signal_handlers();
  }

  /// Puts requests, which are one operation, on the stream where they belong.
  c10::intrusive_ptr<c10d::Work> start(std::vector<Request> requests, Call call, int rank) {
    const c10::Stream current = guard_.getStream(device_);
    const c10::Stream stream = stream_for(requests.front(), current);
    if (stream != current) {
      c10::Event ready{device_.type()};
      ready.record(current);
      ready.block(stream);
    }
    auto outcome = std::make_shared<DeviceOutcome>(std::move(call.buffers));
    const Copies copies = std::move(call.copies);
    auto work = c10::make_intrusive<SmddpDeviceWork>(rank, std::move(call), stream, outcome);
    smddp::Work native{Status::again()};
    for (Request& request : requests) {
      const bool is_last = &request == &requests.back();
      request.keep_alive = outcome;
      request.on_complete = [outcome, is_last](const Status& status) {
        outcome->set(status, is_last);
      };
      native = submit(std::move(request), stream);
    }
    const c10::StreamGuard guard{stream};
    for (const Copy& copy : copies) copy_on(stream, copy);
    work->on_stream(std::move(native), stream == current, copies.empty());
    return work;
  }

 private:
  static constexpr int kTurnsPerSignal = 200;

  c10::Stream new_stream(bool high_priority) const {
    return guard_.getStreamFromGlobalPool(device_, high_priority);
  }

  /// What its caller waits for goes on his own stream, as that saves two events. A receive blocks
  /// its stream until the message comes, so it must not stand before what the message waits for:
  /// each sender has a stream, from the pool that is seldom used.
  c10::Stream stream_for(const Request& request, const c10::Stream& current) {
    if (request.message == MessageSide::kNone) return request.synchronous ? current : collectives_;
    const std::lock_guard lock{messages_mutex_};
    if (request.message == MessageSide::kSend) {
      if (!sends_) sends_ = new_stream(false);
      return *sends_;
    }
    const auto known = receives_.find(request.peer);
    if (known != receives_.end()) return known->second;
    return receives_.emplace(request.peer, new_stream(true)).first->second;
  }

  smddp::Work submit(Request request, const c10::Stream& stream) {
    const Unlocked unlocked;
    smddp::Work native = group_->submit(std::move(request), native_stream(stream));
    const Status begun = native.status();
    if (!begun.is_again()) throw_if_error(begun);
    return native;
  }

  // The operation counts as over when its own part of the stream is, and then its memory goes; not
  // so what the copies after it read and write.
  void copy_on(const c10::Stream& stream, const Copy& copy) const {
    copy.run();
    guard_.recordDataPtrOnStream(copy.from.storage().data_ptr(), stream);
    guard_.recordDataPtrOnStream(copy.to.storage().data_ptr(), stream);
  }

  const at::Device device_;
  const c10::impl::VirtualGuardImpl guard_;
  const c10::Stream collectives_;
  std::mutex messages_mutex_;  ///< guards the next two
  // torch's pool has 32 streams, and groups that share one wait for each other: so only when
  // needed.
  std::optional<c10::Stream> sends_;
  std::map<Rank, c10::Stream> receives_;
  const std::unique_ptr<DeviceGroup> group_;
};

}  // namespace smddp::torch_adapter
