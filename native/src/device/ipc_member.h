#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

#include "smddp/communicator.h"
#include "smddp/deadline.h"
#include "smddp/request.h"
#include "smddp/status.h"

#include "device/host_place.h"
#include "device/ipc_memory.h"
#include "device/ipc_rounds.h"
#include "device/stream_member.h"
#include "provider/cuda/gpu.h"
#include "provider/cuda/kernels.h"

namespace smddp {

/// Collectives among ranks of one host by our own kernels, which read and write all ranks' GPU
/// memory (CUDA IPC); the ranks may share a GPU. Kernels never wait: ranks wait for each other
/// between kernels, by words that their streams write and wait for. So nothing depends on the
/// ranks' kernels running at the same time, which GPUs that processes share do not promise.
class IpcMember final : public StreamMember, public std::enable_shared_from_this<IpcMember> {
 public:
  static Result<std::shared_ptr<IpcMember>> create(std::shared_ptr<const cuda::Gpu> gpu,
                                                   const cuda::KernelImage& image, HostPlace place);
  ~IpcMember() override;

  Result<std::vector<std::byte>> card() const { return memory_->card(); }
  /// See IpcMemory::reach.
  Status reach(const Communicator& members, const std::vector<Rank>& ranks,
               std::span<const std::byte> cards) {
    return memory_->reach(members, ranks, cards);
  }

  // StreamMember
  std::string_view name() const noexcept override { return "ipc"; }
  bool serves(const Request& request) const override { return IpcRounds::serves(request); }
  /// A graph that runs again would wait for words that have long been written.
  bool can_be_captured() const noexcept override { return false; }
  Status look() override { return {}; }
  Status enqueue(std::span<const Request> requests, cuda::Stream stream,
                 const std::function<bool()>& is_over) override;
  void leave(Deadline deadline) override;
  /// Does not wait.
  void abort() override;

 private:
  IpcMember(std::shared_ptr<const cuda::Gpu> gpu, std::unique_ptr<cuda::Kernels> kernels,
            std::unique_ptr<IpcMemory> memory, HostPlace place)
      : gpu_(std::move(gpu)),
        kernels_(std::move(kernels)),
        memory_(std::move(memory)),
        place_(place) {}

  Status put(const Request& request, cuda::Stream stream);
  Status put(const IpcRound& round, DType dtype, cuda::Stream stream);
  Status copy(const std::vector<IpcRound::Copy>& copies, cuda::Stream stream) const;
  /// Tells the others that this rank has come to the round, and waits for them.
  Status meet(IpcMemory::Word word, cuda::Stream stream);
  Status follow(cuda::Stream stream);
  Status mark(cuda::Stream stream);
  bool is_idle() const;
  void release_streams();
  bool release(Deadline deadline);
  void end(bool is_unused);

  const std::shared_ptr<const cuda::Gpu> gpu_;
  const std::unique_ptr<cuda::Kernels> kernels_;
  std::atomic<bool> aborted_{false};
  std::mutex mutex_;                   ///< guards the rest
  std::unique_ptr<IpcMemory> memory_;  ///< null once it has left
  const HostPlace place_;
  std::uint32_t round_ = 0;        ///< how many rounds there were
  cuda::Event last_ = nullptr;     ///< the end of what was put on streams; null: nothing was
  cuda::Stream stream_ = nullptr;  ///< where that was put
  std::vector<cuda::WordStep> steps_;
};

}  // namespace smddp
