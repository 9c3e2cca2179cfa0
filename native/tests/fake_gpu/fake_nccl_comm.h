#pragma once

#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fake_nccl_exchange.h"
#include "fake_nccl_world.h"
#include "provider/nccl/abi.h"

namespace smddp::nccl::fake {

inline int number_in_environment(const char* name, int otherwise) {
  const char* const value = std::getenv(name);
  return value == nullptr || *value == '\0' ? otherwise : std::atoi(value);
}

using HostFunction = void (*)(void* data);

template <typename Function>
Function* driver_function(const char* name) {
  void* const driver = ::dlopen("libcuda.so.1", RTLD_NOW);
  return driver == nullptr ? nullptr : reinterpret_cast<Function*>(::dlsym(driver, name));
}

/// Has the driver run a function when a stream gets to it.
inline bool launch_on(Stream stream, HostFunction function, void* data) {
  static auto* const launch = driver_function<int(void*, HostFunction, void*)>("cuLaunchHostFunc");
  return launch != nullptr && launch(stream, function, data) == 0;
}

/// Whether the driver only writes down what comes into a stream, to run it any number of times.
inline bool is_captured(Stream stream) {
  static auto* const ask = driver_function<int(void*, int*)>("cuStreamIsCapturing");
  int status = 0;
  return ask != nullptr && ask(stream, &status) == 0 && status != 0;
}

}  // namespace smddp::nccl::fake

namespace smddp::nccl {

class Launch;

/// A communicator. Owns itself until it is destroyed; launches and threads keep it as well. One
/// that was aborted stays forever, for others may still ask it something just then.
struct Comm : std::enable_shared_from_this<Comm> {
 public:
  static constexpr auto kSlow = std::chrono::milliseconds{1};

  Comm(const UniqueId& id, int ranks, int rank, bool blocking)
      : blocking_(blocking),
        slow_(!blocking && fake::number_in_environment("FAKE_NCCL_SLOW", 0) != 0),
        abort_spreads_(fake::number_in_environment("FAKE_NCCL_ABORT_SPREADS", 0) != 0),
        failing_(fake::number_in_environment("FAKE_NCCL_FAIL", -1)),
        ranks_(ranks),
        rank_(rank),
        world_(std::make_unique<fake::World>(id, rank, ranks, aborted_)) {}

  int ranks() const { return ranks_; }
  int rank() const { return rank_; }

  /// Begins to wait for the other ranks.
  ResultCode join();
  /// What ncclCommGetAsyncError tells.
  ResultCode state();
  /// Why a call may not begin now, as the real library has it.
  ResultCode refusal();
  /// Runs calls as one operation, which begins when all these streams have got to it.
  ResultCode launch(std::vector<fake::Call> calls, const std::vector<Stream>& streams);
  ResultCode finalize();
  void destroy();
  void abort();

 private:
  friend class Launch;
  using Lock = std::unique_lock<std::mutex>;

  void in_background(std::function<void()> work);
  void close(Lock& lock);
  void fail(ResultCode code, const Lock& /*held*/) {
    if (error_ == ResultCode::kSuccess && !aborted_.load()) error_ = code;
    changed_.notify_all();
  }
  bool is_over() const { return aborted_.load() || error_ != ResultCode::kSuccess; }

  const bool blocking_;
  const bool slow_;
  const bool abort_spreads_;
  const int failing_;  ///< the operation that shall fail; -1: none
  const int ranks_;
  const int rank_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::shared_ptr<Comm> self_;
  std::atomic<bool> aborted_ = false;
  ResultCode error_ = ResultCode::kSuccess;
  bool finalizing_ = false;
  int background_ = 0;  ///< threads
  int pending_ = 0;     ///< launches that exist, but for captured ones
  bool running_ = false;
  int operations_ = 0;  ///< so far
  int tickets_ = 0;     ///< so far, one for each launch that is not captured
  int turn_ = 0;        ///< the ticket of the next to run
  std::unique_ptr<fake::World> world_;
};

/// Calls on their way through the streams. Those of one communicator run one after the other, in
/// the order of the calls whatever streams they are in. Captured ones run when they are replayed.
class Launch {
 public:
  Launch(std::shared_ptr<Comm> comm, std::vector<fake::Call> calls, std::size_t streams,
         bool captured)
      : comm_(std::move(comm)), calls_(std::move(calls)), streams_(streams), captured_(captured) {
    const Comm::Lock lock{comm_->mutex_};
    operation_ = comm_->operations_++;
    if (captured_) return;
    ticket_ = comm_->tickets_++;
    ++comm_->pending_;
  }
  ~Launch() {
    if (captured_) return;
    const Comm::Lock lock{comm_->mutex_};
    --comm_->pending_;
    comm_->changed_.notify_all();
  }
  Launch(const Launch&) = delete;
  Launch& operator=(const Launch&) = delete;

  static ResultCode enqueue(const std::shared_ptr<Launch>& launch,
                            const std::vector<Stream>& streams) {
    for (const Stream stream : streams) {
      auto held = std::make_unique<std::shared_ptr<Launch>>(launch);
      if (fake::launch_on(stream, on_stream, held.get())) {
        static_cast<void>(held.release());  // on_stream frees it
        continue;
      }
      const Comm::Lock lock{launch->comm_->mutex_};
      launch->comm_->fail(ResultCode::kUnhandledCudaError, lock);
      return ResultCode::kUnhandledCudaError;
    }
    return ResultCode::kSuccess;
  }

 private:
  static void on_stream(void* data) {
    auto* const held = static_cast<std::shared_ptr<Launch>*>(data);
    const std::shared_ptr<Launch> launch = *held;
    // Nothing tells when the last graph is gone that may run it again.
    if (!launch->captured_) delete held;
    launch->arrive();
  }

  /// A stream got here. The last one's thread does the work, and the others' wait for it.
  void arrive() {
    Comm& comm = *comm_;
    Comm::Lock lock{comm.mutex_};
    const bool works = ++arrived_ == streams_;
    if (works) arrived_ = 0;
    comm.changed_.wait(lock, [&, before = runs_] {
      return comm.is_over() || (works ? is_next() : runs_ != before);
    });
    if (!works || comm.is_over()) return;
    comm.running_ = true;
    lock.unlock();
    const ResultCode code = run();
    lock.lock();
    comm.running_ = false;
    if (!captured_) ++comm.turn_;
    ++runs_;
    if (code != ResultCode::kSuccess) comm.fail(code, lock);
    comm.changed_.notify_all();
  }

  bool is_next() const { return !comm_->running_ && (captured_ || comm_->turn_ == ticket_); }

  ResultCode run() {
    if (operation_ == comm_->failing_) return ResultCode::kSystemError;
    return fake::exchange(*comm_->world_, calls_) ? ResultCode::kSuccess : ResultCode::kRemoteError;
  }

  const std::shared_ptr<Comm> comm_;
  const std::vector<fake::Call> calls_;
  const std::size_t streams_;
  const bool captured_;
  int operation_ = 0;
  int ticket_ = 0;
  std::size_t arrived_ = 0;  ///< streams that wait for this run
  int runs_ = 0;
};

inline ResultCode Comm::join() {
  if (!world_->open()) return ResultCode::kSystemError;
  self_ = shared_from_this();
  in_background([this] {
    if (world_->join()) return;
    const Lock lock{mutex_};
    fail(ResultCode::kRemoteError, lock);
  });
  if (!blocking_) return ResultCode::kInProgress;
  Lock lock{mutex_};
  changed_.wait(lock, [this] { return background_ == 0; });
  return error_;
}

inline ResultCode Comm::state() {
  const Lock lock{mutex_};
  if (aborted_.load()) return ResultCode::kInvalidUsage;
  if (error_ != ResultCode::kSuccess) return error_;
  const bool busy = background_ > 0 || (finalizing_ && pending_ > 0);
  return busy ? ResultCode::kInProgress : ResultCode::kSuccess;
}

inline ResultCode Comm::refusal() {
  const ResultCode code = state();
  if (code == ResultCode::kInProgress) return ResultCode::kInvalidArgument;
  const Lock lock{mutex_};
  return finalizing_ && code == ResultCode::kSuccess ? ResultCode::kInvalidUsage : code;
}

inline ResultCode Comm::launch(std::vector<fake::Call> calls, const std::vector<Stream>& streams) {
  const bool captured = std::any_of(streams.begin(), streams.end(), fake::is_captured);
  const auto made =
      std::make_shared<Launch>(shared_from_this(), std::move(calls), streams.size(), captured);
  if (!slow_) return Launch::enqueue(made, streams);
  in_background([this, made, streams] {
    std::this_thread::sleep_for(kSlow);
    if (!aborted_.load()) Launch::enqueue(made, streams);
  });
  return ResultCode::kInProgress;
}

inline ResultCode Comm::finalize() {
  if (slow_) in_background([] { std::this_thread::sleep_for(kSlow); });
  Lock lock{mutex_};
  finalizing_ = true;
  if (blocking_) changed_.wait(lock, [this] { return is_over() || pending_ == 0; });
  if (is_over()) return error_;
  return pending_ > 0 || background_ > 0 ? ResultCode::kInProgress : ResultCode::kSuccess;
}

inline void Comm::destroy() {
  Lock lock{mutex_};
  changed_.wait(lock, [this] { return pending_ == 0 && background_ == 0; });
  const std::shared_ptr<Comm> last = std::exchange(self_, nullptr);
  close(lock);
  lock.unlock();
}

inline void Comm::abort() {
  Lock lock{mutex_};
  if (abort_spreads_ && world_ != nullptr) world_->tell_abort();
  close(lock);
}

/// Ends what runs, and lets nothing begin any more, not even a graph that holds an operation.
inline void Comm::close(Lock& lock) {
  aborted_.store(true);
  changed_.notify_all();
  changed_.wait(lock, [this] { return !running_ && background_ == 0; });
  world_.reset();
}

/// Runs work in a thread of its own, for which ncclCommAbort waits.
inline void Comm::in_background(std::function<void()> work) {
  {
    const Lock lock{mutex_};
    ++background_;
  }
  std::thread{[self = shared_from_this(), work = std::move(work)] {
    work();
    const Lock lock{self->mutex_};
    --self->background_;
    self->changed_.notify_all();
  }}.detach();
}

}  // namespace smddp::nccl
