#pragma once

#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "base/wakeup.h"
#include "provider/provider.h"
#include "provider/shm/region.h"
#include "provider/shm/registered_access.h"
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
  struct Members {
    std::vector<Rank> ranks;  ///< the communicator's rank number of each local rank, for reports
    std::vector<std::span<std::byte>> heaps;  ///< registered memory, as this process reaches it
    int self = 0;                             ///< local rank
  };

  /// `bell` outlives the provider. `moves_apart`: whether `move_apart` may do anything.
  ShmProvider(const ShmRegion& region, Members members, PeerBell& bell, bool moves_apart);
  // Routines refer to its call.
  ShmProvider(const ShmProvider&) = delete;
  ShmProvider& operator=(const ShmProvider&) = delete;

  void post(const NativeCall& call, Token token) override;
  bool progress(CompletionSink& sink) override;
  void abandon() noexcept override;
  bool writes_to_peers() const noexcept override { return phase_ == Phase::kShare; }
  std::vector<Rank> writers() const override;
  bool shares_processor() noexcept override;
  void move_apart() noexcept override;
  std::vector<Rank> waiting_for() const override;

 private:
  enum class Phase : unsigned char {
    kIdle,
    kCopyIn,
    kAllCopiedIn,
    kShare,  ///< of a call on registered memory
    kAllConsumed,
    kMismatch
  };
  using AnyRoutine = std::variant<BarrierRoutine, ReduceRoutine, ScatterRoutine, GatherRoutine,
                                  DistributeRoutine, ExchangeRoutine>;

  int self() const { return call_.self; }
  int group_size() const { return call_.ranks; }
  ShmRoutine& select_routine();
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
  bool peers_may_write() const;
  bool accept_first_round(CompletionSink& sink);
  void copy_in();
  void after_copy_in(CompletionSink& sink);
  void consume(CompletionSink& sink);
  void after_consumed(CompletionSink& sink);
  void next_chunk();
  void finish_round(CompletionSink& sink);

  ShmRegion region_;
  std::vector<Rank> ranks_;
  PeerBell& bell_;
  std::vector<const std::byte*> sources_;
  ShmCall call_;  ///< the posted one; routines refer to it
  RegisteredAccess registered_;

  std::uint32_t processor_ = 0;  ///< as told to the others, + 1
  std::optional<Separator> separator_;

  std::uint64_t chunk_ = 0;  ///< counts up for the life of the group, equal on all ranks

  // The posted call.
  Phase phase_ = Phase::kIdle;
  Token token_ = 0;
  Envelope envelope_{};
  std::optional<AnyRoutine> storage_;
  ShmRoutine* routine_ = nullptr;
  Route route_ = Route::kStaged;
  bool may_be_written_ = false;  ///< by peers, after this rank abandoned the call
  std::uint64_t round_ = 0;
  std::uint64_t rounds_ = 0;
  int seen_ = 0;  ///< ranks before this one have announced what this rank waits for
};

}  // namespace smddp
