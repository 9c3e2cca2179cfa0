#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

#include "smddp/deadline.h"
#include "smddp/request.h"
#include "smddp/status.h"

#include "provider/cuda/gpu.h"

namespace smddp {

/// This rank's part in collectives that GPUs do by themselves, in the order of streams: by NCCL, or
/// by our own kernels. For whichever thread has something to do with it.
class StreamMember {
 public:
  StreamMember() = default;
  virtual ~StreamMember() = default;
  StreamMember(const StreamMember&) = delete;
  StreamMember& operator=(const StreamMember&) = delete;

  /// For people: "nccl", "ipc".
  virtual std::string_view name() const noexcept = 0;
  /// Whether it can do an operation that the engine has found right.
  virtual bool serves(const Request& request) const = 0;
  /// Whether a CUDA graph can capture operations.
  virtual bool can_be_captured() const noexcept = 0;
  /// What it has come to; "again" while ranks join, or when another thread is at it. Does not wait.
  virtual Status look() = 0;
  /// Puts operations on the stream, one after the other or together. May wait for the other ranks,
  /// until `is_over` says that there is no point in it. kState: it has left, or was aborted.
  virtual Status enqueue(std::span<const Request> requests, cuda::Stream stream,
                         const std::function<bool()>& is_over) = 0;
  /// A graph has captured operations.
  virtual void set_captured() {}
  /// Leaves in order, or else after the deadline as `abort` does.
  virtual void leave(Deadline deadline) = 0;
  /// How far `enqueue` has come.
  virtual std::uint32_t mark() const noexcept { return 0; }
  /// Whether what streams have come to, of what was enqueued up to the mark, are results. "Again",
  /// for good: they may be none, as ranks have given up; they did because they had seen the group's
  /// failure, which is to be waited for. kMismatch: ranks have called different things.
  virtual Status check_results(std::uint32_t /*mark*/) const {
    return has_given_up() ? Status::again() : Status{};
  }
  /// Ends what is on the streams. May wait for it: not for the engine thread, which streams may
  /// wait for.
  virtual void abort() = 0;

  /// Keeps what a kernel may still write to until it is aborted.
  void keep_until_abort(std::shared_ptr<void> memory) {
    const std::lock_guard lock{kept_mutex_};
    if (!aborted_) kept_.push_back(std::move(memory));
  }

 protected:
  bool has_given_up() const noexcept { return gave_up_.load(); }
  /// Before streams go on without the other ranks. Whether it is the first time.
  bool give_up() noexcept { return !gave_up_.exchange(true); }
  /// It is aborted: nothing has to be kept any more.
  void let_go() {
    std::vector<std::shared_ptr<void>> kept;  // destroyed without the lock
    const std::lock_guard lock{kept_mutex_};
    aborted_ = true;
    kept.swap(kept_);
  }

 private:
  std::atomic<bool> gave_up_{false};
  std::mutex kept_mutex_;
  std::vector<std::shared_ptr<void>> kept_;
  bool aborted_ = false;
};

}  // namespace smddp
