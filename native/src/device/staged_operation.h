#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "smddp/request.h"
#include "smddp/status.h"

#include "device/staging.h"
#include "device/streams_wait.h"
#include "engine/device_part.h"
#include "provider/cuda/gpu.h"

namespace smddp {

/// What a staged operation needs of its group, from a thread of the driver's that must not call
/// CUDA.
class StagedOperationOwner {
 public:
  virtual ~StagedOperationOwner() = default;
  /// An operation has got its input.
  virtual void wake() = 0;
  /// Runs the task on another thread.
  virtual void later(std::function<void()> task) = 0;
};

/// How an operation's data gets from the GPU to host memory and back, where that is not one copy.
struct StagedMoves {
  using Move = std::function<Status(std::byte* host, cuda::Stream stream)>;
  /// Whether what was brought is a result: see StreamMember::check_results.
  std::function<Status()> check{};
  Move bring{};
  Move take{};
};

/// An operation by way of host memory, all in the order of one stream:
///
///   copy the input to host memory; tell the engine; wait for the word, which the engine sets when
///   the operation is over; copy the result to the GPU; tell that this is done
///
/// A receive has no input, and a send no result: its stream goes on when the input is copied.
/// Keeps itself alive until the stream is through with it.
class StagedOperation final : public DevicePart,
                              public std::enable_shared_from_this<StagedOperation> {
 public:
  /// How many bytes the operation reads and writes here.
  struct Extent {
    std::size_t in = 0;
    std::size_t out = 0;
  };

  using OnFailure = std::function<void(const Status&)>;

  /// `on_failure`: of an operation that is a step of another; then the stream does not go on, as
  /// what it would do next would spread a result that is none, until `release`. On any thread.
  StagedOperation(std::shared_ptr<StagedOperationOwner> owner, std::shared_ptr<const cuda::Gpu> gpu,
                  Request request, Extent extent, OnFailure on_failure = {}, StagedMoves moves = {})
      : owner_(std::move(owner)),
        gpu_(std::move(gpu)),
        request_(std::move(request)),
        extent_(extent),
        on_failure_(std::move(on_failure)),
        moves_(std::move(moves)) {}

  ~StagedOperation() override;

  /// Puts the first half on the stream, up to the copy of the input. A failure is also what it ends
  /// with when it is submitted.
  Status bring(StagingPool& pool, cuda::Stream stream);
  /// Puts the rest on the stream, unless `bring` has failed.
  Status take(cuda::Stream stream);
  /// The same operation on host memory, for the engine.
  Request on_host();
  /// Lets the stream go on.
  void release() noexcept;
  /// The GPU has no more to bring, or there will be no use for it.
  bool is_off_stream() const noexcept { return has_input_.load() || told_.load(); }

  // DevicePart
  bool is_all() const noexcept override { return false; }
  Status progress() override;
  void end(const Status& outcome) noexcept override;

 private:
  Status bring_input(cuda::Stream stream);
  Status take_result(cuda::Stream stream);
  Status call(cuda::HostFunction function, cuda::Stream stream);
  void input_is_here();
  void stream_is_through();
  void tell(const Status& outcome);
  bool is_send() const noexcept { return request_.message == MessageSide::kSend; }
  bool is_recv() const noexcept { return request_.message == MessageSide::kRecv; }
  /// In and out are the same memory, here as on the GPU.
  bool is_in_place() const noexcept {
    return request_.in == request_.out && request_.collective != Collective::kAllToAll;
  }
  std::byte* host_in() { return staging_.data(); }
  std::byte* host_out();

  const std::shared_ptr<StagedOperationOwner> owner_;
  const std::shared_ptr<const cuda::Gpu> gpu_;
  const Request request_;  ///< on the GPU's memory, which it keeps
  const Extent extent_;
  const OnFailure on_failure_;
  const StagedMoves moves_;
  const StreamsWait waiting_;
  Staging staging_;
  Status failure_;  ///< of putting it on the stream; before anybody else sees this object
  cuda::Event copied_ = nullptr;  ///< the input is; tells of a GPU that calls nobody any more
  std::atomic<bool> has_input_{false};
  Status outcome_;                           ///< before the word is set
  std::atomic<bool> told_{false};            ///< `on_complete` was called, or will be
  std::shared_ptr<StagedOperation> myself_;  ///< until the stream is through with it
};

using StagedOperations = std::vector<std::shared_ptr<StagedOperation>>;

// The halves of several operations, which end at the first failure; the operation tells the engine
// of it.
Status bring_all(const StagedOperations& operations, StagingPool& pool, cuda::Stream stream);
Status take_all(const StagedOperations& operations, cuda::Stream stream);

}  // namespace smddp
