#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <utility>

#include "smddp/deadline.h"
#include "smddp/request.h"
#include "smddp/status.h"

#include "device/stream_member.h"
#include "provider/cuda/gpu.h"
#include "provider/nccl/communicator.h"

namespace smddp {

/// This rank's NCCL communicator.
class NcclMember final : public StreamMember, public std::enable_shared_from_this<NcclMember> {
 public:
  NcclMember(std::shared_ptr<const cuda::Gpu> gpu, nccl::Library library)
      : gpu_(std::move(gpu)), library_(std::move(library)) {}
  ~NcclMember() override;

  const nccl::Library& library() const noexcept { return library_; }
  /// Begins to join; `look` says when all have.
  Status begin(const nccl::Membership& membership);
  /// Whether NCCL adds float8 on all GPUs. Before any operation.
  void set_adds_float8(bool adds) noexcept { adds_float8_ = adds; }

  // StreamMember
  std::string_view name() const noexcept override { return "nccl"; }
  bool serves(const Request& request) const override;
  bool can_be_captured() const noexcept override { return true; }
  Status look() override;
  /// Operations start together. Waits for the other ranks while NCCL makes connections for them.
  Status enqueue(std::span<const Request> requests, cuda::Stream stream,
                 const std::function<bool()>& is_over) override;
  /// NCCL does not end before such a graph does, and waits for it: so in order it leaves only with
  /// the process.
  void set_captured() override;
  void leave(Deadline deadline) override;
  void abort() override;

 private:
  void end();
  void abort_behind_graphs();

  const std::shared_ptr<const cuda::Gpu> gpu_;
  const nccl::Library library_;
  std::mutex mutex_;
  std::unique_ptr<nccl::Communicator> communicator_;  ///< null before and after its time
  bool captured_ = false;
  bool adds_float8_ = false;
};

}  // namespace smddp
