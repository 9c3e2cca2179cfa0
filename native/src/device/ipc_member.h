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
///
/// In round n a rank's stream writes n to its "ready" on each other rank's lines when the others
/// may use what it shows them, and to "through" when it has read what it reads of theirs, and
/// written what it writes there. Words count cyclically.
class IpcMember final : public StreamMember, public std::enable_shared_from_this<IpcMember> {
 public:
  static Result<std::shared_ptr<IpcMember>> create(std::shared_ptr<const cuda::Gpu> gpu,
                                                   const cuda::KernelImage& image, HostPlace place,
                                                   IpcTerms terms);
  ~IpcMember() override;

  std::vector<std::byte> card() const { return memory_->card(); }
  /// See IpcMemory::reach. Before any operation.
  Status reach(const Communicator& members, const std::vector<Rank>& ranks,
               std::span<const std::byte> cards);
  /// Where this rank's GPU has the slab of each rank of the host, once it reaches them.
  std::vector<cuda::Address> reached() const;
  /// All reach the others: where that rank has this one's slab.
  void set_slab_at(Rank peer, cuda::Address start) { memory_->set_slab_at(peer, start); }
  /// Some rank does not reach the others, as all know: nobody uses its memory.
  void discard();
  /// Operations, as all ranks do at the same time, compared with what they must give. Waits for
  /// them. kSystem: this machine does not do what it should; then `abort` is due.
  Status try_out(Deadline deadline, const std::function<bool()>& is_over);

  // StreamMember
  std::string_view name() const noexcept override { return "ipc"; }
  bool serves(const Request& request) const override { return IpcRounds::serves(request); }
  /// A graph that runs again would wait for words that have long been written.
  bool can_be_captured() const noexcept override { return false; }
  Status look() override { return {}; }
  Status enqueue(std::span<const Request> requests, cuda::Stream stream,
                 const std::function<bool()>& is_over) override;
  /// Waits until the others are through with its memory too.
  void leave(Deadline deadline) override;
  /// Does not wait.
  void abort() override;
  std::uint32_t mark() const noexcept override { return round_.load(); }
  Status check_results(std::uint32_t mark) const override;

 private:
  IpcMember(std::shared_ptr<const cuda::Gpu> gpu, const cuda::Kernels& kernels,
            std::unique_ptr<IpcMemory> memory, HostPlace place, cuda::Event last)
      : gpu_(std::move(gpu)),
        kernels_(kernels),
        memory_(std::move(memory)),
        place_(place),
        last_(last) {}

  Status put(const Request& request, cuda::Stream stream, const std::function<bool()>& is_over);
  Status put(IpcRound& round, const Request& request, cuda::Stream stream);
  Status copy(const std::vector<IpcRound::Copy>& copies, cuda::Stream stream) const;
  Status compute(IpcRound& round, DType dtype, cuda::Stream stream) const;
  /// Where this rank's memory is in this round of the operation.
  void tell(const std::vector<IpcRound::Told>& told, std::uint64_t operation);
  /// Tells the others that this rank has come there, and waits for them to, or does not. `word`:
  /// where that is on a line.
  Status come_to(std::size_t word, cuda::Stream stream, bool and_wait);
  Status mark(cuda::Stream stream);
  /// Ok: the GPU is through with all of it; "again": it is not; else it has failed.
  Status progress() const;
  void release_streams();
  void watch_streams(Deadline deadline);
  void release(bool also_through);
  bool takes_no_more();
  void end(bool is_unused);

  const std::shared_ptr<const cuda::Gpu> gpu_;
  const cuda::Kernels& kernels_;
  const std::unique_ptr<IpcMemory> memory_;
  const HostPlace place_;
  const cuda::Event last_;  ///< the end of what was put on streams
  std::mutex mutex_;        ///< guards the next, and the order of what is put on streams
  std::vector<cuda::WordStep> steps_;
  std::atomic<std::uint32_t> round_{0};  ///< how many rounds there were
  std::atomic<bool> is_reached_{false};  ///< others may use its memory
  std::atomic<bool> is_lost_{false};     ///< nobody can tell how far the GPU is
  std::atomic<bool> is_through_{false};  ///< the GPU, after an abort
  std::mutex left_mutex_;                ///< guards the next; nobody who has it calls the driver
  bool left_ = false;                    ///< its memory is not its own any more
};

}  // namespace smddp
