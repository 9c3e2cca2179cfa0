#pragma once

#include <optional>
#include <variant>
#include <vector>

#include "base/wakeup.h"
#include "provider/provider.h"
#include "provider/shm/region.h"
#include "provider/shm/routines.h"

namespace smddp {

/// Collectives through staging memory that all ranks of a host have mapped.
///
/// Every rank announces numbered stages in its cells and waits until all others have announced the
/// same stage; the two staging halves alternate. That gives the one rule everything rests on: who
/// has passed the first stage of chunk c + 1 knows that all ranks are done with the half of chunk
/// c.
class ShmProvider final : public Provider {
 public:
  /// `ranks[j]` is the communicator's rank number of local rank j, for reports. `bell` outlives the
  /// provider.
  ShmProvider(const ShmRegion& region, int self, std::vector<Rank> ranks, PeerBell& bell);

  void post(const NativeCall& call, Token token) override;
  bool progress(CompletionSink& sink) override;
  void abandon() noexcept override { phase_ = Phase::kIdle; }
  std::vector<Rank> waiting_for() const override;

 private:
  enum class Phase : unsigned char { kIdle, kCopyIn, kAllCopiedIn, kAllConsumed, kMismatch };
  using AnyRoutine =
      std::variant<BarrierRoutine, ReduceRoutine, ScatterRoutine, GatherRoutine, ExchangeRoutine>;

  int group_size() const { return static_cast<int>(ranks_.size()); }
  ShmRoutine& select_routine(const ShmCall& call);
  void announce_stage();
  bool all_announced();
  bool accept_first_stage(CompletionSink& sink);
  bool after_copy_in(CompletionSink& sink);
  void finish_round(CompletionSink& sink);

  ShmRegion region_;
  int self_;
  std::vector<Rank> ranks_;
  PeerBell& bell_;
  std::vector<const std::byte*> sources_;

  // Counters of the group, equal on all ranks between calls.
  std::uint64_t stage_ = 0;
  std::uint64_t chunk_ = 0;

  // The posted call.
  Phase phase_ = Phase::kIdle;
  Token token_ = 0;
  Envelope envelope_{};
  std::optional<AnyRoutine> storage_;
  ShmRoutine* routine_ = nullptr;
  std::uint64_t round_ = 0;
  std::uint64_t rounds_ = 0;
  int seen_ = 0;  ///< ranks before this one are known to have announced the current stage
};

}  // namespace smddp
