#include "device/ipc_member.h"

#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <thread>
#include <utility>

#include "base/fork_guard.h"
#include "base/start_thread.h"
#include "device/ipc_trial.h"
#include "engine/request_check.h"

namespace smddp {
namespace {

/// Added to a round, it is one that nobody comes to.
constexpr std::uint32_t kFarAway = 1U << 30;
/// How long kernels of others may go on with this rank's memory after it has given up. Waiting for
/// more would be for a rank that is dead.
constexpr std::chrono::milliseconds kLastKernels{500};
constexpr std::chrono::minutes kAbortTime{10};
constexpr std::chrono::microseconds kPause{50};

/// Tells rounds apart, and what ranks call: never 0. Equal where they call the same.
std::uint64_t number_of(const Request& request, std::uint32_t round) {
  const auto words =
      std::bit_cast<std::array<std::uint64_t, 4>>(to_signature(request, std::uint64_t{round}));
  std::uint64_t number = 0;
  for (const std::uint64_t word : words) {
    number = (number ^ word) * 0x9e3779b97f4a7c15U;  // the golden ratio's bits spread each word
    number ^= number >> 32;
  }
  return number | 1;
}

}  // namespace

Result<std::shared_ptr<IpcMember>> IpcMember::create(std::shared_ptr<const cuda::Gpu> gpu,
                                                     const cuda::KernelImage& image,
                                                     HostPlace place, IpcTerms terms) {
  const Result<const cuda::Kernels*> kernels = cuda::Kernels::on(gpu, image);
  if (!kernels.ok()) return kernels.status();
  const Result<cuda::Event> last = gpu->make_event();
  if (!last.ok()) return last.status();
  Result<std::unique_ptr<IpcMemory>> memory = IpcMemory::create(gpu, place, terms);
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

std::vector<cuda::Address> IpcMember::reached() const {
  std::vector<cuda::Address> slabs;
  for (const IpcSlab& slab : memory_->slabs())
    slabs.push_back(reinterpret_cast<cuda::Address>(slab.base));
  return slabs;
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
  if (takes_no_more()) return {StatusCode::kState, "this rank has left the group's GPUs"};
  memory_->look();
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
  const auto view = [this](const std::byte* memory, std::size_t bytes) {
    return memory_->view(memory, bytes);
  };
  const IpcRounds rounds{request, place_, {memory_->slabs(), memory_->slab_view(), view}};
  for (std::size_t number = 0; number < rounds.count(); ++number) {
    if (has_given_up() || is_over())
      return {StatusCode::kState, "the group of this rank's GPU has failed"};
    const std::uint32_t turn = ++round_;
    IpcRound round = rounds.round(number, static_cast<int>(turn % 2));
    SMDDP_RETURN_IF_ERROR(put(round, request, stream));
  }
  return {};
}

Status IpcMember::put(IpcRound& round, const Request& request, cuda::Stream stream) {
  SMDDP_RETURN_IF_ERROR(copy(round.bring, stream));
  round.kernel.lines = std::bit_cast<const cuda::RankLine*>(memory_->lines());
  round.kernel.operation = number_of(request, round_.load());
  round.kernel.round = round_.load();
  round.kernel.turn = memory_->turn();
  round.kernel.left_out = std::bit_cast<std::uint32_t*>(memory_->left_out());
  steps_.clear();
  tell(round.told, round.kernel.operation);
  SMDDP_RETURN_IF_ERROR(come_to(offsetof(cuda::RankLine, ready), stream, true));
  SMDDP_RETURN_IF_ERROR(compute(round, request.dtype, stream));
  steps_.clear();
  SMDDP_RETURN_IF_ERROR(come_to(offsetof(cuda::RankLine, through), stream, round.ends_together));
  return copy(round.take, stream);
}

Status IpcMember::compute(IpcRound& round, DType dtype, cuda::Stream stream) const {
  return round.copies ? kernels_.copy(round.kernel, stream)
                      : kernels_.reduce(dtype, round.kernel, stream);
}

Status IpcMember::copy(const std::vector<IpcRound::Copy>& copies, cuda::Stream stream) const {
  for (const auto& [from, to, bytes] : copies)
    SMDDP_RETURN_IF_ERROR(gpu_->copy_on_device(to, from, bytes, stream));
  return {};
}

void IpcMember::tell(const std::vector<IpcRound::Told>& told, std::uint64_t operation) {
  for (Rank peer = 0; peer < static_cast<Rank>(told.size()); ++peer) {
    const auto& [in, out] = told[static_cast<std::size_t>(peer)];
    if (peer == place_.rank || (in == 0 && out == 0)) continue;
    const cuda::Address line = memory_->told(peer);
    const auto write = [&](std::size_t word, std::uint64_t value) {
      steps_.push_back({.kind = cuda::WordStep::kWriteLong, .word = line + word, .value = value});
    };
    if (in != 0) write(offsetof(cuda::RankLine, in), in);
    if (out != 0) write(offsetof(cuda::RankLine, out), out);
    write(offsetof(cuda::RankLine, operation), operation);
  }
}

Status IpcMember::come_to(std::size_t word, cuda::Stream stream, bool and_wait) {
  const auto step = [&](unsigned kind, cuda::Address line) {
    steps_.push_back({.kind = kind, .word = line + word, .value = round_.load()});
  };
  for (Rank peer = 0; peer < place_.ranks; ++peer) {
    if (peer != place_.rank) step(cuda::WordStep::kWrite, memory_->told(peer));
  }
  for (Rank peer = 0; and_wait && peer < place_.ranks; ++peer) {
    if (peer == place_.rank) continue;
    step(cuda::WordStep::kWait,
         memory_->lines() + static_cast<std::size_t>(peer) * sizeof(cuda::RankLine));
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
    const auto is_through = [&] { return round_ == 0 || memory_->are_all_through(round_.load()); };
    Status come = progress();
    while (!takes_no_more() && !deadline.passed() &&
           (come.is_again() || (come.ok() && !is_through()))) {
      std::this_thread::sleep_for(kPause);
      come = progress();
    }
    if (takes_no_more()) return;
    if (!come.is_again()) return end(come.ok());
  }
  abort();
}

// Streams may be far behind, and what they still write to words would undo the release: so it is
// repeated, in a thread of its own.
void IpcMember::abort() {
  if (!give_up()) return;
  {
    const std::lock_guard lock{left_mutex_};
    if (!left_ && is_reached_.load()) memory_->give_up();
  }
  if (!start_thread([self = shared_from_this()] { self->release_streams(); })) release(true);
}

// Kernels that have not begun do nothing with the memory of a rank that has given up. But some may
// be at it, and its user has it again when the stream is through: so "through" is left to them at
// first.
//
// Who has the lock may be blocked by the driver, and goes on now; nobody enqueues after him. And
// the driver may block everybody else behind such a wait: so whoever ends it does not call it.
void IpcMember::release_streams() {
  const Deadline last_kernels = Deadline::after(kLastKernels);
  const Deadline deadline = Deadline::after(kAbortTime);
  start_thread([self = shared_from_this(), deadline] { self->watch_streams(deadline); });
  while (!is_through_.load() && !deadline.passed()) {
    release(last_kernels.passed());
    std::this_thread::sleep_for(kPause);
  }
}

void IpcMember::watch_streams(Deadline deadline) {
  mutex_.lock();
  mutex_.unlock();
  Status come = progress();
  for (; come.is_again() && !deadline.passed(); come = progress())
    std::this_thread::sleep_for(kPause);
  is_through_.store(true);
  end(come.ok());
  if (come.ok()) let_go();
}

void IpcMember::release(bool also_through) {
  const std::lock_guard lock{left_mutex_};
  if (left_ || !is_reached_.load()) return;
  const std::uint32_t far = round_.load() + kFarAway;
  memory_->release_ready(far);
  if (also_through) memory_->release_through(far);
}

bool IpcMember::takes_no_more() {
  const std::lock_guard lock{left_mutex_};
  return left_ || has_given_up();
}

Status IpcMember::check_results(std::uint32_t mark) const {
  if (has_given_up() || memory_->has_any_given_up()) return Status::again();
  if (!memory_->has_left_out(mark)) return {};
  return {StatusCode::kMismatch, "ranks have called different things"};
}

void IpcMember::end(bool is_unused) {
  {
    const std::lock_guard lock{left_mutex_};
    if (std::exchange(left_, true)) return;
  }
  if (!is_reached_.load()) return memory_->give_back_unused();
  if (is_unused) memory_->close();
}

}  // namespace smddp
