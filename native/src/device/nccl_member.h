#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "smddp/deadline.h"
#include "smddp/request.h"
#include "smddp/status.h"

#include "provider/cuda/gpu.h"
#include "provider/nccl/communicator.h"

namespace smddp {

/// This rank's NCCL communicator, for whichever thread has something to do with it.
class NcclMember : public std::enable_shared_from_this<NcclMember> {
 public:
  NcclMember(std::shared_ptr<const cuda::Gpu> gpu, nccl::Library library)
      : gpu_(std::move(gpu)), library_(std::move(library)) {}
  ~NcclMember();
  NcclMember(const NcclMember&) = delete;
  NcclMember& operator=(const NcclMember&) = delete;

  const nccl::Library& library() const noexcept { return library_; }
  /// Begins to join; `look` says when all have.
  Status begin(const nccl::Membership& membership);
  /// What NCCL has come to; "again" also when another thread is at it. Neither waits.
  Status look();
  /// Puts operations on the stream, which start together. While NCCL makes connections for them,
  /// waits for the other ranks, until `is_over` says that there is no point in it. kState: it has
  /// left, or was aborted.
  Status enqueue(std::span<const Request> requests, cuda::Stream stream,
                 const std::function<bool()>& is_over);
  /// A graph has captured operations. NCCL does not end before such a graph does, and waits for it:
  /// so in order it leaves only with the process.
  void set_captured();
  /// Leaves in order, or else after the deadline as `abort` does.
  void leave(Deadline deadline);
  /// Ends what is on the streams, and waits for it: not for the engine thread, which streams may
  /// wait for.
  void abort();
  /// Keeps what a kernel may still write to until it is aborted.
  void keep_until_abort(std::shared_ptr<void> memory);

 private:
  void end();
  void abort_behind_graphs();

  const std::shared_ptr<const cuda::Gpu> gpu_;
  const nccl::Library library_;
  std::mutex mutex_;
  std::unique_ptr<nccl::Communicator> communicator_;  ///< null before and after its time
  bool captured_ = false;
  std::mutex kept_mutex_;  ///< not the other one, which is held while ranks are waited for
  std::vector<std::shared_ptr<void>> kept_;
  bool aborted_ = false;  ///< nothing is kept any more
};

}  // namespace smddp
