#include "provider/shm/shm_provider.h"

#include <algorithm>
#include <utility>

namespace smddp {

ShmProvider::ShmProvider(const ShmRegion& region, int self, std::vector<Rank> ranks, PeerBell& bell)
    : region_(region),
      self_(self),
      ranks_(std::move(ranks)),
      bell_(bell),
      sources_(ranks_.size()) {}

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

void ShmProvider::announce_stage() {
  ++stage_;
  seen_ = 0;
  StageCell& cell = region_.cell(self_, stage_);
  if (round_ == 0) {
    cell.rounds = rounds_;
    cell.envelope = envelope_;
  }
  // Sequentially consistent, because the bell reads the peers' sleep flags next: either a peer that
  // falls asleep sees this stage in its last look, or we see its flag.
  cell.stage.store(stage_, std::memory_order_seq_cst);
  bell_.ring();
}

bool ShmProvider::all_announced() {
  for (; seen_ < group_size(); ++seen_) {
    if (region_.cell(seen_, stage_).stage.load(std::memory_order_seq_cst) < stage_) return false;
  }
  return true;
}

bool ShmProvider::accept_first_stage(CompletionSink& sink) {
  for (int rank = 0; rank < group_size(); ++rank) {
    const StageCell& cell = region_.cell(rank, stage_);
    if (cell.envelope != envelope_) {
      phase_ = Phase::kMismatch;
      sink.mismatch(ranks_[static_cast<std::size_t>(rank)], cell.envelope);
      return false;
    }
    rounds_ = std::max(rounds_, cell.rounds);
  }
  if (const int other = routine_->disagreeing_rank(chunk_); other >= 0) {
    phase_ = Phase::kMismatch;
    sink.mismatch(ranks_[static_cast<std::size_t>(other)], envelope_);
    return false;
  }
  return true;
}

bool ShmProvider::after_copy_in(CompletionSink& sink) {
  if (round_ == 0 && !accept_first_stage(sink)) return true;
  routine_->consume(round_, chunk_);
  if (routine_->has_second_stage()) {
    announce_stage();
    phase_ = Phase::kAllConsumed;
  } else {
    finish_round(sink);
  }
  return true;
}

void ShmProvider::finish_round(CompletionSink& sink) {
  ++chunk_;
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
    announce_stage();
    phase_ = Phase::kAllCopiedIn;
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

std::vector<Rank> ShmProvider::waiting_for() const {
  std::vector<Rank> missing;
  if (phase_ != Phase::kAllCopiedIn && phase_ != Phase::kAllConsumed) return missing;
  for (int rank = 0; rank < group_size(); ++rank) {
    if (region_.cell(rank, stage_).stage.load(std::memory_order_relaxed) < stage_) {
      missing.push_back(ranks_[static_cast<std::size_t>(rank)]);
    }
  }
  return missing;
}

}  // namespace smddp
