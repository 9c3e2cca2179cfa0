#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "smddp/status.h"

#include "device/stream_member.h"
#include "device/streams_wait.h"
#include "engine/device_part.h"
#include "provider/cuda/gpu.h"

namespace smddp {

/// An operation that the GPU does alone: over when its stream has come to where it ends.
class StreamOperation final : public DevicePart {
 public:
  /// `member`: carries it out; null: the stream alone does. `memory`: what it reads and writes.
  StreamOperation(std::shared_ptr<const cuda::Gpu> gpu, std::shared_ptr<StreamMember> member,
                  std::shared_ptr<void> memory)
      : gpu_(std::move(gpu)), member_(std::move(member)), memory_(std::move(memory)) {}
  ~StreamOperation() override;

  /// All of it is on the stream. Once.
  void set_enqueued(cuda::Stream stream);
  /// The first failure counts. Any thread.
  void set_failed(const Status& failure);
  /// It is over for the engine: well, or because ranks are missing.
  bool has_ended() const noexcept { return ended_.load(std::memory_order_acquire); }

  // DevicePart
  bool is_all() const noexcept override { return true; }
  Status progress() override;
  void end(const Status& outcome) noexcept override;

 private:
  enum class State : unsigned char { kNew, kEnqueued, kFailed };

  const std::shared_ptr<const cuda::Gpu> gpu_;
  const std::shared_ptr<StreamMember> member_;
  const std::shared_ptr<void> memory_;
  std::shared_ptr<StreamsWait> waiting_ = std::make_shared<StreamsWait>();  ///< until it is over
  std::uint32_t mark_ = 0;  ///< of the member, when all of it was on the stream
  cuda::Event event_ = nullptr;
  std::atomic<bool> failing_{false};  ///< somebody writes the next, or has
  Status failure_;                    ///< before state_ says so
  std::atomic<State> state_{State::kNew};
  std::atomic<bool> ended_{false};
};

}  // namespace smddp
