#include "provider/shm/shm_provider.h"

#include <algorithm>
#include <utility>

#include "base/pause.h"

namespace smddp {

ShmProvider::ShmProvider(const ShmRegion& region, int self, std::vector<Rank> ranks, PeerBell& bell,
                         bool moves_apart)
    : region_(region), self_(self), ranks_(std::move(ranks)), bell_(bell), sources_(ranks_.size()) {
  if (moves_apart) separator_.emplace();
}

ShmRoutine& ShmProvider::select_routine(const ShmCall& call) {
  switch (call.step->collective) {
    case Collective::kAllReduce:
    case Collective::kReduce:
      storage_.emplace(std::in_place_type<ReduceRoutine>, call);
      break;
    case Collective::kReduceScatter:
      storage_.emplace(std::in_place_type<ScatterRoutine>, call);
      break;
    case Collective::kAllGather:
    case Collective::kGather:
    case Collective::kBroadcast:
      storage_.emplace(std::in_place_type<GatherRoutine>, call);
      break;
    case Collective::kAllToAll:
      storage_.emplace(std::in_place_type<ExchangeRoutine>, call);
      break;
    case Collective::kBarrier:
      storage_.emplace(std::in_place_type<BarrierRoutine>);
      break;
  }
  return std::visit([](auto& routine) -> ShmRoutine& { return routine; }, *storage_);
}

void ShmProvider::post(const NativeCall& call, Token token) {
  ShmCall bound{.region = &region_,
                .self = self_,
                .ranks = group_size(),
                .step = call.step,
                .dtype = call.dtype,
                .element_bytes = size_of(call.dtype),
                .in = call.in,
                .out = call.out,
                .sources = sources_};
  routine_ = &select_routine(bound);
  token_ = token;
  envelope_ = call.envelope;
  round_ = 0;
  // An empty call still has one round: it synchronises and its signature is checked.
  rounds_ = std::max<std::uint64_t>(routine_->rounds(), 1);
  phase_ = Phase::kCopyIn;
}

void ShmProvider::announce_ready() {
  ReadyLine& line = region_.ready(self_, chunk_);
  tell_where(current_processor());
  if (round_ == 0) {
    line.rounds = rounds_;
    line.envelope = envelope_;
  }
  announce(line.ready);
  phase_ = Phase::kAllCopiedIn;
}

void ShmProvider::announce_consumed() {
  announce(region_.consumed(self_, chunk_).consumed);
  phase_ = Phase::kAllConsumed;
}

void ShmProvider::announce(std::atomic<std::uint64_t>& flag) {
  seen_ = 0;
  // Sequentially consistent, because the bell reads the peers' sleep flags next: either a peer that
  // falls asleep sees this in its last look, or we see its flag.
  flag.store(chunk_ + 1, std::memory_order_seq_cst);
  bell_.ring();
}

std::atomic<std::uint64_t>& ShmProvider::awaited_flag(int rank) const {
  return phase_ == Phase::kAllCopiedIn ? region_.ready(rank, chunk_).ready
                                       : region_.consumed(rank, chunk_).consumed;
}

bool ShmProvider::all_announced() {
  for (; seen_ < group_size(); ++seen_) {
    if (seen_ != self_ && awaited_flag(seen_).load(std::memory_order_seq_cst) <= chunk_)
      return false;
  }
  return true;
}

bool ShmProvider::accept_first_round(CompletionSink& sink) {
  for (int rank = 0; rank < group_size(); ++rank) {
    const ReadyLine& line = region_.ready(rank, chunk_);
    if (line.envelope != envelope_) {
      phase_ = Phase::kMismatch;
      sink.mismatch(ranks_[static_cast<std::size_t>(rank)], line.envelope);
      return false;
    }
    rounds_ = std::max(rounds_, line.rounds);
  }
  if (const int other = routine_->disagreeing_rank(chunk_); other >= 0) {
    phase_ = Phase::kMismatch;
    sink.mismatch(ranks_[static_cast<std::size_t>(other)], envelope_);
    return false;
  }
  return true;
}

bool ShmProvider::after_copy_in(CompletionSink& sink) {
  if (round_ == 0 && !accept_first_round(sink)) return true;
  routine_->consume(round_, chunk_);
  if (routine_->has_second_stage()) {
    announce_consumed();
  } else {
    finish_round(sink);
  }
  return true;
}

void ShmProvider::finish_round(CompletionSink& sink) {
  ++chunk_;
  // Peers have read this rank's line two chunks ago; taking it back now saves the next announcement
  // one trip between the processors.
  prefetch_to_write(&region_.ready(self_, chunk_));
  if (++round_ < rounds_) {
    phase_ = Phase::kCopyIn;
    return;
  }
  phase_ = Phase::kIdle;
  sink.complete(token_, Status{});
}

bool ShmProvider::progress(CompletionSink& sink) {
  bool moved = false;
  if (phase_ == Phase::kCopyIn) {
    routine_->copy_in(round_, chunk_);
    announce_ready();
    moved = true;
  }
  if (phase_ == Phase::kAllCopiedIn && all_announced()) return after_copy_in(sink);
  if (phase_ == Phase::kAllConsumed && all_announced()) {
    routine_->copy_out(round_, chunk_);
    finish_round(sink);
    return true;
  }
  return moved;
}

void ShmProvider::tell_where(std::uint32_t processor) noexcept {
  if (processor == processor_) return;
  processor_ = processor;
  region_.where(self_).processor.store(processor, std::memory_order_relaxed);
}

std::uint32_t ShmProvider::processor_of(int rank) const noexcept {
  return region_.where(rank).processor.load(std::memory_order_relaxed);
}

bool ShmProvider::shares_processor() noexcept {
  if (!is_waiting()) return false;
  tell_where(current_processor());
  if (processor_ == 0) return false;
  for (int rank = 0; rank < group_size(); ++rank) {
    if (rank != self_ && processor_of(rank) == processor_) return true;
  }
  return false;
}

void ShmProvider::move_apart() noexcept {
  if (!separator_ || !separator_->may_move()) return;
  ProcessorLoad load;
  for (int rank = 0; rank < group_size(); ++rank) {
    if (processor_of(rank) > 0) load.add(processor_of(rank) - 1);
  }
  const RoomyProcessors targets = load.better_than(processor_ - 1);
  if (!targets.any()) return;
  // Told before it is done: a neighbour, whose turn comes then, must not choose the same place.
  tell_where(targets.first() + 1);
  targets.move_here();
  tell_where(current_processor());
}

std::vector<Rank> ShmProvider::waiting_for() const {
  std::vector<Rank> missing;
  if (!is_waiting()) return missing;
  for (int rank = 0; rank < group_size(); ++rank) {
    if (rank != self_ && awaited_flag(rank).load(std::memory_order_relaxed) <= chunk_) {
      missing.push_back(ranks_[static_cast<std::size_t>(rank)]);
    }
  }
  return missing;
}

}  // namespace smddp
