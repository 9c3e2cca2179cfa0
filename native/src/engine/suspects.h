#pragma once

#include <cstdint>
#include <vector>

#include "smddp/deadline.h"
#include "smddp/types.h"

#include "engine/board.h"
#include "topology/placement.h"

namespace smddp {

/// Who holds an operation up, as far as one rank can tell.
struct Suspects {
  std::vector<Rank> missing;  ///< have not started it
  std::vector<Rank> stuck;    ///< have started it, or nobody here knows, and do not go on
  /// This rank sees it for itself; otherwise a rank that misses one of them knows more.
  bool first_hand = false;

  /// Those to name: a rank that is stuck may only wait for one that is missing.
  const std::vector<Rank>& foremost() const { return missing.empty() ? stuck : missing; }
};

/// What a rank needs to know to find suspects.
struct Waiting {
  const Board& board;
  const Placement& placement;
  Rank self = 0;
  std::uint64_t sequence = 0;  ///< of the operation
  std::vector<Rank> missed;    ///< from whom this rank still needs something
};

/// A rank that waits says so again and again, with the one it waits for. So this follows from each
/// rank that is late to whom that one waits for, until a rank that says nothing.
Suspects find_suspects(const Waiting& waiting, Deadline::Clock::time_point now);

}  // namespace smddp
