#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "smddp/deadline.h"
#include "smddp/status.h"
#include "smddp/types.h"

#include "base/signature.h"

namespace smddp {

/// Why a group has failed, and in which operation of the rank that found it.
struct Fault {
  Status status;
  std::uint64_t sequence = 0;
};

/// What the ranks of one host know about the whole group, in the shared segment: who has started
/// which operation, who waits for whom, who has left, the first failure, and whose engine thread
/// sleeps. Local ranks
/// write their own entries; what is learned about ranks of other hosts is written by whoever hears
/// it. Zeroed memory is the initial state.
class Board {
 public:
  static std::size_t bytes_needed(int world, int local_size);
  /// `memory` is 64-byte aligned and at least `bytes_needed` long; `self` is the local rank that
  /// uses this view.
  Board(std::span<std::byte> memory, int world, int local_size, int self);

  /// Rank `rank` starts the operation. An entry never goes back.
  void set_started(Rank rank, const Signature& signature) noexcept;
  /// Number of operations that the rank has started.
  std::uint64_t started(Rank rank) const noexcept;
  /// For reports only: may be half of one and half of the next.
  std::optional<Signature> last_signature(Rank rank) const noexcept;
  /// What the rank has started as its operation `sequence`; nothing when it has not yet, or has
  /// gone on since.
  std::optional<Signature> started_as(Rank rank, std::uint64_t sequence) const noexcept;

  /// The rank has just said that its operation `sequence`, which it has started, waits for `other`.
  void set_waiting(Rank rank, std::uint64_t sequence, Rank other,
                   Deadline::Clock::time_point now) noexcept;
  void set_not_waiting(Rank rank) noexcept;
  /// For whom the rank's last operation waits. Nothing when it does not, or the rank has stopped
  /// saying so.
  std::optional<Rank> waits_for(Rank rank, Deadline::Clock::time_point now) const noexcept;

  static constexpr std::size_t kMaxPartingWords = 200;
  /// The rank will take part in its first `operations` operations and no more. `why`: its parting
  /// words, in UTF-8; what is too long is cut.
  void set_left(Rank rank, std::uint64_t operations, std::string_view why = {}) noexcept;
  std::optional<std::uint64_t> left_after(Rank rank) const noexcept;
  /// Of a rank that has left; empty when it had nothing to say.
  std::string parting_words(Rank rank) const;
  /// The rank has left and nothing of what it took part in is still to come from it.
  void set_finished(Rank rank) noexcept;
  bool has_finished(Rank rank) const noexcept;

  /// Makes this the group's failure unless there is one already; afterwards `fault` is the one that
  /// stands. True when it is this one.
  bool record_fault(const Fault& fault) noexcept;
  bool has_fault() const noexcept;
  /// The recorded failure; its status is ok when there is none.
  Fault fault() const;

  void set_asleep(int local_rank, bool asleep) noexcept;
  bool is_asleep(int local_rank) const noexcept;

 private:
  struct alignas(64) RankEntry {
    std::atomic<std::uint64_t> started;
    std::array<std::atomic<std::uint64_t>, 4> signature;
    std::atomic<std::uint64_t> left;  ///< 0: still here; else operations + 1
    std::atomic<bool> finished;
    std::atomic<Rank> waits_for;
    std::atomic<std::int64_t> waited_at;   ///< ticks of the host's clock; 0: does not wait
    std::atomic<std::uint64_t> waited_in;  ///< value of `started` that it belongs to
  };
  /// Zeros after the text. All local ranks that hear of a rank's leaving write the same, perhaps at
  /// the same time.
  struct alignas(64) PartingWords {
    std::array<std::atomic<std::uint64_t>, kMaxPartingWords / sizeof(std::uint64_t)> text;
  };
  struct alignas(64) SleepFlag {
    std::atomic<std::uint32_t> asleep;
  };
  /// Whose text is the fault record: 0 none, else local rank + 1. Each rank writes its own text
  /// first and then claims this word, so there is no moment at which a fault stands without its
  /// text, and a writer killed half-way leaves nothing behind.
  struct alignas(64) FaultAuthor {
    std::atomic<std::uint32_t> author;
  };
  struct alignas(64) FaultText {
    std::uint64_t sequence;
    std::uint32_t code;
    std::uint32_t length;
    std::array<char, 2032> text;
  };

  RankEntry& entry(Rank rank) const { return ranks_[static_cast<std::size_t>(rank)]; }

  int self_;
  FaultAuthor* fault_;
  RankEntry* ranks_;
  PartingWords* words_;
  SleepFlag* sleepers_;
  FaultText* texts_;
};

}  // namespace smddp
