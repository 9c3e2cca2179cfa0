#pragma once

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <torch/csrc/distributed/c10d/Backend.hpp>

#include "smddp/runtime.h"

#include "convert.h"
#include "device_side.h"
#include "errors.h"
#include "staging.h"
#include "unlocked.h"
#include "work.h"

namespace smddp::torch_adapter {

using WorkPtr = c10::intrusive_ptr<c10d::Work>;

/// What torch hands on when it splits a group; a type of its own so that Python can copy it.
struct SmddpOptions final : c10d::Backend::Options {
  explicit SmddpOptions(std::chrono::milliseconds limit) : Options("smddp", limit) {}
};

/// The torch.distributed backend: checks tensors, turns each call into requests, and the outcome
/// into Work. Its operations are defined by topic: reductions.h, sparse.h, movements.h, blocks.h,
/// coalesced.h, messages.h, tensors.h, devices.h, creation.h and barriers.h.
class SmddpBackend final : public c10d::Backend {
 public:
  /// `labels`: numbers of the members in the whole job, in the group's order.
  /// `store`: where the members of the communicator have met.
  SmddpBackend(std::shared_ptr<Runtime> runtime, std::unique_ptr<Communicator> communicator,
               std::shared_ptr<Store> store, const Config& config, std::vector<Rank> labels)
      : c10d::Backend(communicator->rank(), communicator->world()),
        runtime_(std::move(runtime)),
        communicator_(std::move(communicator)),
        store_(std::move(store)),
        config_(config),
        labels_(std::move(labels)),
        timeout_(config.timeout) {}

  // Leaving waits for the completion thread, which may be waiting for the interpreter's lock.
  ~SmddpBackend() override {
    const Unlocked unlocked;
    side_.reset();
    communicator_.reset();
    runtime_.reset();
  }

  const std::string getBackendName() const override { return "smddp"; }
  c10::intrusive_ptr<Options> getBackendOptions() override { return options(); }
  c10::intrusive_ptr<SmddpOptions> options() const {
    return c10::make_intrusive<SmddpOptions>(timeout_);
  }
  void setTimeout(std::chrono::milliseconds timeout) override { timeout_ = timeout; }
  void setSequenceNumberForGroup() override {}
  std::uint64_t getSequenceNumberForGroup() override { return sequence_; }
  void shutdown() override;
  void abort() override { leave(std::chrono::milliseconds{0}); }
  std::string transport() const { return communicator_->transport(); }
  /// How tensors of this rank's GPU reach the others; see DeviceGroup.
  std::string device_transport();
  /// See `balanced_bucket_bytes`. Meets the other members first.
  std::size_t bucket_bytes() {
    const Unlocked unlocked;
    throw_if_error(wait_for(communicator_->connect(), Deadline::never()));
    return balanced_bucket_bytes(communicator_->topology());
  }

  // creation.h
  bool supportsSplitting() const override { return true; }
  c10::intrusive_ptr<c10d::Backend> split(const c10::intrusive_ptr<c10d::Store>& store,
                                          const std::vector<int>& ranks,
                                          const c10::intrusive_ptr<Options>& options) override;
  void eagerConnectSingleDevice(at::Device device) override;

  // reductions.h
  WorkPtr allreduce(Tensors& tensors, const c10d::AllreduceOptions& options) override;
  WorkPtr reduce(Tensors& tensors, const c10d::ReduceOptions& options) override;
  WorkPtr reduce_scatter(Tensors& outputs, std::vector<Tensors>& inputs,
                         const c10d::ReduceScatterOptions& options) override;
  WorkPtr _reduce_scatter_base(at::Tensor& output, at::Tensor& input,
                               const c10d::ReduceScatterOptions& options) override;

  // movements.h
  WorkPtr broadcast(Tensors& tensors, const c10d::BroadcastOptions& options) override;
  WorkPtr gather(std::vector<Tensors>& outputs, Tensors& inputs,
                 const c10d::GatherOptions& options) override;
  WorkPtr scatter(Tensors& outputs, std::vector<Tensors>& inputs,
                  const c10d::ScatterOptions& options) override;

  // blocks.h
  WorkPtr allgather(std::vector<Tensors>& outputs, Tensors& inputs,
                    const c10d::AllgatherOptions& options) override;
  WorkPtr _allgather_base(at::Tensor& output, at::Tensor& input,
                          const c10d::AllgatherOptions& options) override;
  WorkPtr alltoall(Tensors& outputs, Tensors& inputs,
                   const c10d::AllToAllOptions& options) override;
  WorkPtr alltoall_base(at::Tensor& output, at::Tensor& input,
                        std::vector<std::int64_t>& output_splits,
                        std::vector<std::int64_t>& input_splits,
                        const c10d::AllToAllOptions& options) override;

  // coalesced.h
  WorkPtr allreduce_coalesced(Tensors& tensors,
                              const c10d::AllreduceCoalescedOptions& options) override;
  WorkPtr allgather_coalesced(std::vector<Tensors>& outputs, Tensors& inputs,
                              const c10d::AllgatherOptions& options) override;
  WorkPtr allgather_into_tensor_coalesced(Tensors& outputs, Tensors& inputs,
                                          const c10d::AllgatherOptions& options) override;
  WorkPtr reduce_scatter_tensor_coalesced(Tensors& outputs, Tensors& inputs,
                                          const c10d::ReduceScatterOptions& options) override;

  // messages.h
  WorkPtr send(Tensors& tensors, int peer, int tag) override;
  WorkPtr recv(Tensors& tensors, int peer, int tag) override;
  WorkPtr recvAnysource(Tensors& tensors, int tag) override;

  // tensors.h
  bool supportsTensorAlloc(c10::DeviceIndex device) override;
  at::Tensor allocateTensor(long size, at::TensorOptions options) override;

  // barriers.h
  WorkPtr barrier(const c10d::BarrierOptions& options) override;
  void monitoredBarrier(const c10d::BarrierOptions& options, bool wait_all_ranks) override;

 private:
  // devices.h
  void leave(std::chrono::milliseconds grace);
  std::shared_ptr<DeviceSide> side();
  std::shared_ptr<DeviceSide> side_of(at::Device device);
  WorkPtr start_on_device(std::vector<Request> requests, Call call);

  std::size_t ranks() const { return static_cast<std::size_t>(size_); }
  Rank label_of(Rank rank) const { return labels_[static_cast<std::size_t>(rank)]; }

  template <typename Options>
  std::chrono::milliseconds timeout_for(const Options& options) const {
    return options.timeout.count() > 0 ? options.timeout : timeout_;
  }

  template <typename Options>
  Request plain(Collective collective, const at::Tensor& tensor, const Options& options) const {
    Request request;
    request.collective = collective;
    request.dtype = to_dtype(tensor, name_of(collective));
    request.timeout = timeout_for(options);
    request.synchronous = !options.asyncOp;
    return request;
  }

  template <typename Options>
  Request reduction(Collective collective, const at::Tensor& tensor, const c10d::ReduceOp& op,
                    const Options& options) const {
    Request request = plain(collective, tensor, options);
    request.op = to_op(op, name_of(collective));
    return request;
  }

  WorkPtr receive(Tensors& tensors, Rank peer, int tag, c10d::OpType type);
  Request message(MessageSide side, const at::Tensor& memory, int tag) const;
  Request reduction_into_block(const at::Tensor& output, const at::Tensor& input,
                               const c10d::ReduceScatterOptions& options, Call& call) const;
  Request gather_of_blocks(const at::Tensor& output, const at::Tensor& input,
                           const c10d::AllgatherOptions& options, Call& call) const;
  WorkPtr allreduce_sparse(const at::Tensor& tensor, const c10d::AllreduceOptions& options);
  at::Tensor gathered(const at::Tensor& input, const std::vector<std::size_t>& counts,
                      const c10d::AllreduceOptions& options);
  std::vector<std::size_t> split_counts(const at::Tensor& tensor,
                                        const std::vector<std::int64_t>& splits,
                                        const std::string& name) const;

  static bool is_on_device(const Call& call) {
    return std::any_of(call.buffers.begin(), call.buffers.end(),
                       [](const at::Tensor& buffer) { return !buffer.is_cpu(); });
  }

  /// Submits; the work holds on to the call's buffers, and the engine to the work until it is over.
  WorkPtr start(Request request, Call call) {
    if (request.message == MessageSide::kNone) ++sequence_;
    if (is_on_device(call)) {
      std::vector<Request> requests;
      requests.push_back(std::move(request));
      return start_on_device(std::move(requests), std::move(call));
    }
    auto work = c10::make_intrusive<SmddpWork>(rank_, std::move(call));
    request.on_complete = [work](const Status& status) { work->complete(status); };
    work->attach(communicator_->submit(std::move(request)));
    return work;
  }

  /// Several requests as one operation. They run in this order, and after a failure none runs, so
  /// the last one tells of all.
  WorkPtr start_all(std::vector<Request> requests, Call call) {
    if (is_on_device(call)) {
      ++sequence_;
      return start_on_device(std::move(requests), std::move(call));
    }
    for (std::size_t i = 0; i + 1 < requests.size(); ++i) {
      requests[i].synchronous = false;
      const Status begun = communicator_->submit(std::move(requests[i])).status();
      if (!begun.is_again()) throw_if_error(begun);
    }
    return start(std::move(requests.back()), std::move(call));
  }

  /// Runs one request of an operation that takes several and decides between them.
  Status run_now(Request request, Tensors buffers) {
    request.synchronous = true;
    request.keep_alive = std::make_shared<Tensors>(std::move(buffers));
    ++sequence_;
    const Unlocked unlocked;
    return wait_for(communicator_->submit(std::move(request)), Deadline::never());
  }

  std::shared_ptr<Runtime> runtime_;
  std::shared_ptr<Communicator> communicator_;
  const std::shared_ptr<Store> store_;
  const Config config_;
  const std::vector<Rank> labels_;
  std::chrono::milliseconds timeout_;
  std::uint64_t sequence_ = 0;
  std::mutex side_mutex_;             ///< guards the next
  std::shared_ptr<DeviceSide> side_;  ///< null before the first tensor of a GPU
  std::map<std::string, c10::weak_intrusive_ptr<SmddpBackend>> parts_;  ///< by the group's name
};

}  // namespace smddp::torch_adapter
