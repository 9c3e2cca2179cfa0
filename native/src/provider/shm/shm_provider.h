#pragma once

#include <optional>
#include <variant>
#include <vector>

#include "base/wakeup.h"
#include "provider/provider.h"
#include "provider/shm/region.h"
#include "provider/shm/routines.h"
#include "provider/shm/separator.h"

namespace smddp {

/// Collectives through staging memory that all ranks of a host have mapped.
///
/// Every rank says in its slot that it is ready with chunk c and waits until all others have said
/// so; the two slots of a rank alternate. That gives the one rule everything rests on: who has seen
/// everybody ready with chunk c + 1 knows that all ranks are done with the slots of chunk c.
class ShmProvider final : public Provider {
 public:
  /// `ranks[j]` is the communicator's rank number of local rank j, for reports. `bell` outlives the
  /// provider. `moves_apart`: whether `move_apart` may do anything.
  ShmProvider(const ShmRegion& region, int self, std::vector<Rank> ranks, PeerBell& bell,
              bool moves_apart);

  void post(const NativeCall& call, Token token) override;
  bool progress(CompletionSink& sink) override;
  void abandon() noexcept override { phase_ = Phase::kIdle; }
  bool shares_processor() noexcept override;
  void move_apart() noexcept override;
  std::vector<Rank> waiting_for() const override;

 private:
  enum class Phase : unsigned char { kIdle, kCopyIn, kAllCopiedIn, kAllConsumed, kMismatch };
  using AnyRoutine =
      std::variant<BarrierRoutine, ReduceRoutine, ScatterRoutine, GatherRoutine, ExchangeRoutine>;

  int group_size() const { return static_cast<int>(ranks_.size()); }
  ShmRoutine& select_routine(const ShmCall& call);
  void announce_ready();
  void announce_consumed();
  std::uint32_t processor_of(int rank) const noexcept;
  void tell_where(std::uint32_t processor) noexcept;
  void announce(std::atomic<std::uint64_t>& flag);
  bool is_waiting() const noexcept {
    return phase_ == Phase::kAllCopiedIn || phase_ == Phase::kAllConsumed;
  }
  std::atomic<std::uint64_t>& awaited_flag(int rank) const;
  bool all_announced();
  bool accept_first_round(CompletionSink& sink);
  bool after_copy_in(CompletionSink& sink);
  void finish_round(CompletionSink& sink);

  ShmRegion region_;
  int self_;
  std::vector<Rank> ranks_;
  PeerBell& bell_;
  std::vector<const std::byte*> sources_;

  std::uint32_t processor_ = 0;  ///< as told to the others, + 1
  std::optional<Separator> separator_;

  std::uint64_t chunk_ = 0;  ///< counts up for the life of the group, equal on all ranks

  // The posted call.
  Phase phase_ = Phase::kIdle;
  Token token_ = 0;
  Envelope envelope_{};
  std::optional<AnyRoutine> storage_;
  ShmRoutine* routine_ = nullptr;
  std::uint64_t round_ = 0;
  std::uint64_t rounds_ = 0;
  int seen_ = 0;  ///< ranks before this one have announced what this rank waits for
};

}  // namespace smddp
