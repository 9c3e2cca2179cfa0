#include "device/ipc_member.h"

#include <chrono>
#include <thread>
#include <utility>

#include "base/fork_guard.h"
#include "device/ipc_trial.h"

namespace smddp {
namespace {

/// Added to a word, it is one that nobody comes to.
constexpr std::uint32_t kFarAway = 1U << 30;
constexpr std::chrono::minutes kAbortTime{10};
constexpr std::chrono::microseconds kPause{50};

}  // namespace

Result<std::shared_ptr<IpcMember>> IpcMember::create(std::shared_ptr<const cuda::Gpu> gpu,
                                                     const cuda::KernelImage& image,
                                                     HostPlace place) {
  const Result<const cuda::Kernels*> kernels = cuda::Kernels::on(gpu, image);
  if (!kernels.ok()) return kernels.status();
  const Result<cuda::Event> last = gpu->make_event();
  if (!last.ok()) return last.status();
  Result<std::unique_ptr<IpcMemory>> memory = IpcMemory::create(gpu, place);
  if (!memory.ok()) {
    gpu->destroy(last.value());
    return memory.status();
  }
  return std::shared_ptr<IpcMember>{new IpcMember{std::move(gpu), *kernels.value(),
                                                  std::move(memory).value(), place, last.value()}};
}

IpcMember::~IpcMember() {
  if (!in_forked_child()) end(progress().ok());
  gpu_->destroy(last_);
}

Status IpcMember::reach(const Communicator& members, const std::vector<Rank>& ranks,
                        std::span<const std::byte> cards) {
  SMDDP_RETURN_IF_ERROR(memory_->reach(members, ranks, cards));
  is_reached_.store(true);
  return {};
}

void IpcMember::discard() {
  is_reached_.store(false);
  end(true);
}

Status IpcMember::try_out(Deadline deadline, const std::function<bool()>& is_over) {
  IpcTrial trial{place_, memory_->slabs()[static_cast<std::size_t>(place_.rank)], memory_->spare()};
  const Result<cuda::Stream> stream = gpu_->make_stream();
  if (!stream.ok()) return stream.status();
  Status outcome = trial.begin(*gpu_, stream.value());
  if (outcome.ok()) outcome = enqueue(trial.requests(), stream.value(), is_over);
  if (outcome.ok()) outcome = trial.take(*gpu_, stream.value());
  {
    const std::lock_guard lock{mutex_};
    const Status marked = mark(stream.value());
    if (outcome.ok()) outcome = marked;
  }
  while (progress().is_again() && !deadline.passed() && !is_over())
    std::this_thread::sleep_for(kPause);
  gpu_->destroy_stream(stream.value());
  const Status come = progress();
  if (come.is_again())
    return {StatusCode::kSystem, "ranks that wait for each other do not come to an end"};
  if (outcome.ok()) outcome = come;
  return outcome.ok() ? trial.check() : outcome;
}

Status IpcMember::enqueue(std::span<const Request> requests, cuda::Stream stream,
                          const std::function<bool()>& is_over) {
  const std::lock_guard lock{mutex_};
  if (has_left()) return {StatusCode::kState, "this rank has left the group's GPUs"};
  // Operations use the slabs one after the other, whatever streams they are on.
  Status begun = gpu_->wait_for(last_, stream);
  for (const Request& request : requests) {
    if (begun.ok()) begun = put(request, stream, is_over);
  }
  const Status marked = mark(stream);  // what there is of it may wait for others
  return begun.ok() ? marked : begun;
}

Status IpcMember::mark(cuda::Stream stream) {
  Status recorded = gpu_->record(last_, stream);
  if (!recorded.ok()) is_lost_.store(true);
  return recorded;
}

// The driver blocks a caller who is some thousand steps ahead of the GPU, so what is over is looked
// for between rounds.
Status IpcMember::put(const Request& request, cuda::Stream stream,
                      const std::function<bool()>& is_over) {
  const IpcRounds rounds{request, place_, memory_->slabs()};
  for (std::size_t number = 0; number < rounds.count(); ++number) {
    if (aborted_.load() || is_over())
      return {StatusCode::kState, "the group of this rank's GPU has failed"};
    const std::uint32_t turn = ++round_;
    SMDDP_RETURN_IF_ERROR(
        put(rounds.round(number, static_cast<int>(turn % 2)), request.dtype, stream));
  }
  return {};
}

Status IpcMember::put(const IpcRound& round, DType dtype, cuda::Stream stream) {
  SMDDP_RETURN_IF_ERROR(copy(round.bring, stream));
  SMDDP_RETURN_IF_ERROR(tell(Point::kReady, stream, true));
  SMDDP_RETURN_IF_ERROR(kernels_.reduce(dtype, round.reduce, stream));
  SMDDP_RETURN_IF_ERROR(copy(round.fetch, stream));
  SMDDP_RETURN_IF_ERROR(tell(Point::kThrough, stream, round.spreads));
  return copy(round.take, stream);
}

Status IpcMember::copy(const std::vector<IpcRound::Copy>& copies, cuda::Stream stream) const {
  for (const auto& [from, to, bytes] : copies)
    SMDDP_RETURN_IF_ERROR(gpu_->copy_on_device(to, from, bytes, stream));
  return {};
}

Status IpcMember::tell(Point point, cuda::Stream stream, bool and_wait) {
  steps_.clear();
  for (Rank peer = 0; peer < place_.ranks; ++peer) {
    if (peer == place_.rank) continue;
    steps_.push_back(
        {.kind = cuda::WordStep::kWrite, .word = memory_->told(peer), .value = word(point)});
  }
  for (Rank peer = 0; and_wait && peer < place_.ranks; ++peer) {
    if (peer == place_.rank) continue;
    steps_.push_back(
        {.kind = cuda::WordStep::kWait, .word = memory_->heard(peer), .value = word(point)});
  }
  return steps_.empty() ? Status{} : gpu_->step(steps_, stream);
}

Status IpcMember::progress() const {
  if (is_lost_.load()) return {StatusCode::kSystem, "a GPU's stream could not be marked"};
  return gpu_->query(last_);
}

void IpcMember::leave(Deadline deadline) {
  {
    const std::lock_guard lock{mutex_};
    const auto is_through = [&] {
      return round_ == 0 || memory_->have_all_come_to(word(Point::kThrough));
    };
    Status come = progress();
    while (!has_left() && !deadline.passed() && (come.is_again() || (come.ok() && !is_through()))) {
      std::this_thread::sleep_for(kPause);
      come = progress();
    }
    if (has_left()) return;
    if (!come.is_again()) return end(come.ok());
  }
  abort();
}

// The stream may be far behind, and what others still write to the words that this rank waits for
// would undo the release: so it is repeated, in a thread of its own.
void IpcMember::abort() {
  if (aborted_.exchange(true)) return;
  std::thread{[self = shared_from_this()] { self->release_streams(); }}.detach();
}

// Who has the lock may be blocked by the driver, and goes on now. Nobody enqueues after him.
void IpcMember::release_streams() {
  const Deadline deadline = Deadline::after(kAbortTime);
  for (release(); !mutex_.try_lock(); release()) std::this_thread::sleep_for(kPause);
  mutex_.unlock();
  Status come = progress();
  for (; come.is_again() && !deadline.passed(); come = progress()) {
    release();
    std::this_thread::sleep_for(kPause);
  }
  end(come.ok());
  if (come.ok()) let_go();
}

void IpcMember::release() {
  const std::lock_guard lock{left_mutex_};
  if (!left_ && is_reached_.load()) memory_->release(2 * round_.load() + kFarAway);
}

bool IpcMember::has_left() {
  const std::lock_guard lock{left_mutex_};
  return left_ || aborted_.load();
}

void IpcMember::end(bool is_unused) {
  const std::lock_guard lock{left_mutex_};
  if (std::exchange(left_, true)) return;
  if (!is_reached_.load()) return memory_->give_back_unused();
  if (is_unused) memory_->close();
}

}  // namespace smddp
