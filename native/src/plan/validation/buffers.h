#pragma once

#include <cstddef>
#include <vector>

#include "smddp/status.h"

#include "plan/plan.h"
#include "plan/planner.h"

namespace smddp {

/// Elements [begin, end) of one piece of a rank's memory.
struct Interval {
  int memory = 0;
  std::size_t begin = 0;
  std::size_t end = 0;

  bool overlaps(const Interval& other) const {
    return memory == other.memory && begin < other.end && other.begin < end;
  }
  friend bool operator==(const Interval&, const Interval&) = default;
};

/// The memory behind a rank's buffers. In-place forms put `in` and `out` into one piece, as users
/// do; buffers that a collective allows to be missing have no elements.
class Buffers {
 public:
  static constexpr int kPieces = 4;  ///< of in, of out, scratch, partials

  Buffers(const CollectiveSpec& spec, Rank self, bool in_place, const Plan& plan);

  std::size_t in_count() const { return in_count_; }
  std::size_t out_count() const { return out_count_; }
  /// Elements of piece `memory`.
  std::size_t size(int memory) const { return sizes_[memory]; }
  DType dtype_of(const Range& range) const { return types_.of(range); }
  /// Where `range` lies; fails when it reaches beyond its buffer.
  Result<Interval> locate(const Range& range) const;

 private:
  struct Place {
    int memory = 0;
    std::size_t base = 0;
    std::size_t count = 0;
  };

  std::size_t in_count_ = 0;
  std::size_t out_count_ = 0;
  Place in_;
  Place out_;
  Place scratch_;
  Place partials_;
  ElementTypes types_;
  std::size_t sizes_[kPieces] = {};
};

/// What one step touches between its start and its end.
struct Accesses {
  std::vector<Interval> reads;
  std::vector<Interval> writes;
};

/// Checks the form of `step` (bounds, counts, dtypes, in-place rules of its own ranges) and returns
/// its accesses. Ranges that a step leaves as they are (a copy onto itself) count as read only.
/// `local_rank` is the rank's place among the `local_ranks` of its host.
Result<Accesses> accesses_of(const Step& step, const Buffers& buffers, int local_rank,
                             int local_ranks);

}  // namespace smddp
