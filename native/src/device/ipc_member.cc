#include "device/ipc_member.h"

#include <chrono>
#include <thread>
#include <utility>

#include "base/fork_guard.h"
#include "engine/request_check.h"

namespace smddp {
namespace {

/// Added to a round, it is one that nobody comes to: words count cyclically.
constexpr std::uint32_t kFarAway = 1U << 30;
constexpr std::chrono::minutes kAbortTime{10};

}  // namespace

Result<std::shared_ptr<IpcMember>> IpcMember::create(std::shared_ptr<const cuda::Gpu> gpu,
                                                     const cuda::KernelImage& image,
                                                     HostPlace place) {
  Result<std::unique_ptr<cuda::Kernels>> kernels = cuda::Kernels::load(gpu, image);
  if (!kernels.ok()) return kernels.status();
  Result<std::unique_ptr<IpcMemory>> memory = IpcMemory::create(gpu, place);
  if (!memory.ok()) return memory.status();
  return std::shared_ptr<IpcMember>{
      new IpcMember{std::move(gpu), std::move(kernels).value(), std::move(memory).value(), place}};
}

IpcMember::~IpcMember() {
  if (!in_forked_child()) end(is_idle());
  if (last_ != nullptr) gpu_->destroy(last_);
}

Status IpcMember::enqueue(std::span<const Request> requests, cuda::Stream stream,
                          const std::function<bool()>& /*is_over*/) {
  const std::lock_guard lock{mutex_};
  if (memory_ == nullptr || aborted_.load())
    return {StatusCode::kState, "this rank has left the group's GPUs"};
  Status begun = follow(stream);
  for (const Request& request : requests) {
    if (begun.ok()) begun = put(request, stream);
  }
  const Status marked = mark(stream);  // what there is of it may wait for others
  return begun.ok() ? marked : begun;
}

/// Operations use the slabs one after the other, whatever streams they are on.
Status IpcMember::follow(cuda::Stream stream) {
  if (last_ == nullptr || stream == stream_) return {};
  return gpu_->wait_for(last_, stream);
}

Status IpcMember::mark(cuda::Stream stream) {
  if (last_ == nullptr) {
    Result<cuda::Event> event = gpu_->make_event();
    if (!event.ok()) return event.status();
    last_ = event.value();
  }
  stream_ = stream;
  return gpu_->record(last_, stream);
}

Status IpcMember::put(const Request& request, cuda::Stream stream) {
  Request complete = request;
  complete_request(complete, place_.rank, place_.ranks);
  const IpcRounds rounds{complete, place_, memory_->slabs()};
  for (std::size_t number = 0; number < rounds.count(); ++number) {
    ++round_;
    const IpcRound round = rounds.round(number, static_cast<int>(round_ % 2));
    SMDDP_RETURN_IF_ERROR(put(round, request.dtype, stream));
  }
  return {};
}

Status IpcMember::put(const IpcRound& round, DType dtype, cuda::Stream stream) {
  SMDDP_RETURN_IF_ERROR(copy(round.bring, stream));
  SMDDP_RETURN_IF_ERROR(meet(IpcMemory::Word::kReady, stream));
  SMDDP_RETURN_IF_ERROR(kernels_->reduce(dtype, round.reduce, stream));
  SMDDP_RETURN_IF_ERROR(copy(round.fetch, stream));
  if (!round.spreads) return {};
  SMDDP_RETURN_IF_ERROR(meet(IpcMemory::Word::kSpread, stream));
  return copy(round.take, stream);
}

Status IpcMember::copy(const std::vector<IpcRound::Copy>& copies, cuda::Stream stream) const {
  for (const auto& [from, to, bytes] : copies)
    SMDDP_RETURN_IF_ERROR(gpu_->copy_on_device(to, from, bytes, stream));
  return {};
}

Status IpcMember::meet(IpcMemory::Word word, cuda::Stream stream) {
  steps_.clear();
  for (Rank peer = 0; peer < place_.ranks; ++peer) {
    if (peer != place_.rank)
      steps_.push_back(
          {.kind = cuda::WordStep::kWrite, .word = memory_->told(peer, word), .value = round_});
  }
  for (Rank peer = 0; peer < place_.ranks; ++peer) {
    if (peer != place_.rank)
      steps_.push_back(
          {.kind = cuda::WordStep::kWait, .word = memory_->heard(peer, word), .value = round_});
  }
  return steps_.empty() ? Status{} : gpu_->step(steps_, stream);
}

/// Whether the GPU is through with all of it; one that has failed is.
bool IpcMember::is_idle() const { return last_ == nullptr || !gpu_->query(last_).is_again(); }

void IpcMember::leave(Deadline deadline) {
  if (aborted_.load()) return;
  const std::lock_guard lock{mutex_};
  while (!is_idle() && !deadline.passed())
    std::this_thread::sleep_for(std::chrono::microseconds{50});
  end(is_idle());
}

// The stream may be far behind, and what others still write to the words that this rank waits for
// would undo the release: so it is repeated, in a thread of its own.
void IpcMember::abort() {
  if (aborted_.exchange(true)) return;
  std::thread{[self = shared_from_this()] { self->release_streams(); }}.detach();
}

void IpcMember::release_streams() {
  const Deadline deadline = Deadline::after(kAbortTime);
  while (!release(deadline)) std::this_thread::sleep_for(std::chrono::microseconds{50});
  let_go();
}

/// Whether it is over.
bool IpcMember::release(Deadline deadline) {
  const std::lock_guard lock{mutex_};
  if (memory_ != nullptr) memory_->release(round_ + kFarAway);
  const bool idle = is_idle();
  if (!idle && !deadline.passed()) return false;
  end(idle);
  return true;
}

void IpcMember::end(bool is_unused) {
  if (memory_ != nullptr) IpcMemory::retire(std::move(memory_), is_unused);
}

}  // namespace smddp
