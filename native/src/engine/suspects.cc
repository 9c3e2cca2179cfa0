#include "engine/suspects.h"

#include <algorithm>
#include <optional>

namespace smddp {
namespace {

bool contains(const std::vector<Rank>& ranks, Rank rank) {
  return std::find(ranks.begin(), ranks.end(), rank) != ranks.end();
}

void add(std::vector<Rank>& ranks, Rank rank) {
  if (!contains(ranks, rank)) ranks.push_back(rank);
}

/// Nothing when ranks wait for each other, or for this one, which is not silent.
std::optional<Rank> silent_rank_behind(Rank missed, const Waiting& waiting,
                                       Deadline::Clock::time_point now) {
  Rank rank = missed;
  for (int hops = 0; hops < waiting.placement.world() && rank != waiting.self; ++hops) {
    const std::optional<Rank> next = waiting.board.waits_for(rank, now);
    if (!next) return rank;
    rank = *next;
  }
  return std::nullopt;
}

}  // namespace

Suspects find_suspects(const Waiting& waiting, Deadline::Clock::time_point now) {
  const auto is_local = [&](Rank rank) {
    return waiting.placement.host_of(rank) == waiting.placement.host_of(waiting.self);
  };
  const auto has_started = [&](Rank rank) {
    return waiting.board.started(rank) > waiting.sequence;
  };
  std::vector<Rank> late;
  for (const Rank rank : waiting.placement.ranks_on(waiting.placement.host_of(waiting.self))) {
    if (!has_started(rank)) add(late, rank);  // it may still wait in an earlier operation
  }
  for (const Rank missed : waiting.missed) add(late, missed);
  std::vector<Rank> silent;
  for (const Rank rank : late) {
    if (const auto behind = silent_rank_behind(rank, waiting, now)) add(silent, *behind);
  }
  if (silent.empty()) return Suspects{.stuck = late};

  Suspects suspects;
  for (const Rank rank : silent) {
    // A rank of another host that says nothing may be done already, unless this rank misses
    // something from it.
    const bool first_hand = is_local(rank) || contains(waiting.missed, rank);
    suspects.first_hand |= first_hand;
    add(first_hand && !has_started(rank) ? suspects.missing : suspects.stuck, rank);
  }
  return suspects;
}

}  // namespace smddp
