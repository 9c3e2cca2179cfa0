#include "provider/shm/shm_provider.h"

#include <algorithm>
#include <utility>

#include "base/pause.h"

namespace smddp {

ShmProvider::ShmProvider(const ShmRegion& region, Members members, PeerBell& bell, bool moves_apart)
    : region_(region),
      ranks_(std::move(members.ranks)),
      bell_(bell),
      sources_(ranks_.size()),
      call_{.region = &region_,
            .self = members.self,
            .ranks = static_cast<int>(ranks_.size()),
            .sources = sources_},
      registered_(std::move(members.heaps), call_) {
  if (moves_apart) separator_.emplace();
}

ShmRoutine& ShmProvider::select_routine() {
  switch (call_.step->collective) {
    case Collective::kAllReduce:
    case Collective::kReduce:
      storage_.emplace(std::in_place_type<ReduceRoutine>, call_);
      break;
    case Collective::kReduceScatter:
      storage_.emplace(std::in_place_type<ScatterRoutine>, call_);
      break;
    case Collective::kAllGather:
    case Collective::kGather:
    case Collective::kBroadcast:
      storage_.emplace(std::in_place_type<GatherRoutine>, call_);
      break;
    case Collective::kScatter:
      storage_.emplace(std::in_place_type<DistributeRoutine>, call_);
      break;
    case Collective::kAllToAll:
      storage_.emplace(std::in_place_type<ExchangeRoutine>, call_);
      break;
    case Collective::kBarrier:
      storage_.emplace(std::in_place_type<BarrierRoutine>);
      break;
  }
  return std::visit([](auto& routine) -> ShmRoutine& { return routine; }, *storage_);
}

void ShmProvider::post(const NativeCall& call, Token token) {
  call_.step = call.step;
  call_.dtype = call.dtype;
  call_.out_dtype = call.out_dtype.value_or(call.dtype);
  call_.element_bytes = size_of(call_.dtype);
  call_.out_element_bytes = size_of(call_.out_dtype);
  call_.in = call.in;
  call_.out = call.out;
  routine_ = &select_routine();
  registered_.bind();
  route_ = Route::kStaged;
  token_ = token;
  envelope_ = call.envelope;
  round_ = 0;
  // An empty call still has one round: it synchronises and its signature is checked.
  rounds_ = std::max<std::uint64_t>(routine_->rounds(), 1);
  phase_ = Phase::kCopyIn;
}

void ShmProvider::announce_ready() {
  ReadyLine& line = region_.ready(self(), chunk_);
  tell_where(current_processor());
  if (round_ == 0) {
    line.rounds = rounds_;
    line.envelope = envelope_;
    registered_.announce(line);
  }
  announce(line.ready);
  phase_ = Phase::kAllCopiedIn;
}

void ShmProvider::announce_consumed() {
  announce(region_.consumed(self(), chunk_).consumed);
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
    if (seen_ != self() && awaited_flag(seen_).load(std::memory_order_seq_cst) <= chunk_)
      return false;
  }
  return true;
}

bool ShmProvider::accept_first_round(CompletionSink& sink) {
  for (int rank = 0; rank < group_size(); ++rank) {
    // Peers have fetched this rank's own line: reading it now would cost a trip to their caches.
    if (rank == self()) continue;
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

void ShmProvider::copy_in() {
  if (registered_.place() == ArrayPlace::kRegistered) {
    routine_->tell(chunk_);  // the data is found in the heap
  } else {
    routine_->copy_in(round_, chunk_);
  }
  announce_ready();
}

void ShmProvider::after_copy_in(CompletionSink& sink) {
  if (round_ == 0) {
    if (!accept_first_round(sink)) return;
    route_ = registered_.agree(chunk_);
  }
  switch (route_) {
    case Route::kStaged:
      return consume(sink);
    case Route::kRegistered:
      phase_ = Phase::kShare;
      return;
    case Route::kStartOver:
      next_chunk();
      phase_ = Phase::kCopyIn;
      return;
  }
}

void ShmProvider::consume(CompletionSink& sink) {
  routine_->consume(round_, chunk_);
  if (routine_->has_second_stage()) {
    announce_consumed();
  } else {
    finish_round(sink);
  }
}

void ShmProvider::after_consumed(CompletionSink& sink) {
  if (route_ == Route::kRegistered) {
    rounds_ = 1;
  } else {
    routine_->copy_out(round_, chunk_);
  }
  finish_round(sink);
}

void ShmProvider::next_chunk() {
  ++chunk_;
  // Peers have read this rank's line two chunks ago; taking it back now saves the next announcement
  // one trip between the processors.
  prefetch_to_write(&region_.ready(self(), chunk_));
}

void ShmProvider::finish_round(CompletionSink& sink) {
  next_chunk();
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
    copy_in();
    moved = true;
  }
  if (is_waiting() && all_announced()) {
    if (phase_ == Phase::kAllCopiedIn) {
      after_copy_in(sink);
    } else {
      after_consumed(sink);
    }
    return true;
  }
  if (phase_ == Phase::kShare) {
    if (registered_.advance()) announce_consumed();
    return true;
  }
  return moved;
}

// The fault is on the board already. Who has not announced itself by now sees it there before it
// writes anywhere.
bool ShmProvider::peers_may_write() const {
  if (phase_ == Phase::kShare || phase_ == Phase::kAllConsumed) return route_ == Route::kRegistered;
  if (phase_ != Phase::kAllCopiedIn || registered_.place() != ArrayPlace::kRegistered) return false;
  for (int rank = 0; rank < group_size(); ++rank) {
    const ReadyLine& line = region_.ready(rank, chunk_);
    if (line.ready.load(std::memory_order_seq_cst) <= chunk_ || line.place == ArrayPlace::kPlain)
      return false;
  }
  return true;
}

void ShmProvider::abandon() noexcept {
  if (phase_ != Phase::kIdle) {
    registered_.retire();
    may_be_written_ = peers_may_write();
    region_.consumed(self(), chunk_).abandoned.store(chunk_ + 1, std::memory_order_seq_cst);
  }
  phase_ = Phase::kIdle;
}

std::vector<Rank> ShmProvider::writers() const {
  std::vector<Rank> writing;
  if (!may_be_written_) return writing;
  for (int rank = 0; rank < group_size(); ++rank) {
    const ConsumedLine& line = region_.consumed(rank, chunk_);
    const bool over = line.consumed.load(std::memory_order_acquire) > chunk_ ||
                      line.abandoned.load(std::memory_order_acquire) > chunk_;
    if (rank != self() && !over) writing.push_back(ranks_[static_cast<std::size_t>(rank)]);
  }
  return writing;
}

void ShmProvider::tell_where(std::uint32_t processor) noexcept {
  if (processor == processor_) return;
  processor_ = processor;
  region_.where(self()).processor.store(processor, std::memory_order_relaxed);
}

std::uint32_t ShmProvider::processor_of(int rank) const noexcept {
  return region_.where(rank).processor.load(std::memory_order_relaxed);
}

bool ShmProvider::shares_processor() noexcept {
  if (!is_waiting()) return false;
  tell_where(current_processor());
  if (processor_ == 0) return false;
  for (int rank = 0; rank < group_size(); ++rank) {
    if (rank == self() || processor_of(rank) != processor_) continue;
    if (awaited_flag(rank).load(std::memory_order_relaxed) <= chunk_) return true;
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
    if (rank != self() && awaited_flag(rank).load(std::memory_order_relaxed) <= chunk_) {
      missing.push_back(ranks_[static_cast<std::size_t>(rank)]);
    }
  }
  return missing;
}

}  // namespace smddp
