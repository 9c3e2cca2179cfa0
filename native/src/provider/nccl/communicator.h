#pragma once

#include <memory>
#include <span>
#include <string>

#include "smddp/request.h"
#include "smddp/status.h"

#include "provider/nccl/library.h"

namespace smddp::nccl {

/// Who joins which group, and what NCCL may use for it; kUnset leaves the choice to NCCL.
struct Membership {
  UniqueId id{};
  Rank rank = 0;
  int world = 1;
  std::string name{};  ///< of the group, for errors and NCCL's own messages
  int min_ctas = Config::kUnset;
  int max_ctas = Config::kUnset;
  int cta_policy = Config::kUnset;
};

/// One rank's place in a group of GPUs. NCCL works for it in the background, so that a rank that
/// never comes ends in an error at the deadline: from "again" until `progress` is ok nothing can be
/// enqueued, and what was may not be on its stream yet. Driven by one thread at a time; the GPU
/// that is current when it is made has to be current in every call. Its end, `abort` and the last
/// `progress` after `leave` wait for NCCL's own threads, and for its kernels to end.
class Communicator {
 public:
  /// What all ranks of a group join with; one of them makes it.
  static Result<UniqueId> make_id(const Library& library);
  /// Begins to join. `library` outlives the communicator. kInvalidArgument: `min_ctas` without
  /// `max_ctas`, which NCCL refuses.
  static Result<std::unique_ptr<Communicator>> begin(const Library& library,
                                                     const Membership& membership);
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;
  /// Aborts what has not left.
  ~Communicator();

  /// Puts operations on the stream; several start together, as messages have to that two ranks send
  /// each other. Only when `progress` was ok since the last "again", which means that NCCL goes on
  /// in the background. kInvalidArgument: NCCL has no such operation, or kState: it is not the time
  /// for one; nothing has happened then. Other failures end the communicator.
  Status enqueue(std::span<const Request> requests, Stream stream);

  /// Ok when all that was begun is done on this side (not by the GPU); "again" until then. The
  /// failure, for good, once anything has failed, also on the GPU or on another rank. Then `abort`
  /// is what is left to do, where the caller may wait: kernels may still be on the streams.
  Status progress();

  /// Begins to leave in order, after what goes on in the background and what is on the streams.
  /// `progress` says when; then the communicator is gone.
  Status leave();

  /// Ends what is on the streams, and the communicator: kAborted from then on, unless it had failed
  /// before. Others find out by themselves.
  void abort();
  /// Leaves NCCL's part of it to the end of the process.
  void forget() noexcept;

 private:
  Communicator(const Library& library, const Membership& membership);

  Status finalize();
  Status take(ResultCode code, const std::string& doing_what);
  Status fail(ResultCode code, const std::string& doing_what);
  void end() noexcept;
  std::string doing(const std::string& what) const;

  const Library& library_;
  const Rank rank_;
  const int world_;
  const std::string name_;
  Comm* comm_ = nullptr;  ///< null when it is gone
  bool leaving_ = false;
  bool finalized_ = false;
  std::string in_progress_;  ///< what NCCL does in the background; empty: nothing
  Status failure_;
};

}  // namespace smddp::nccl
