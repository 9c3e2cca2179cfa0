#include "simulate/fold.h"

#include <algorithm>
#include <bit>
#include <set>

namespace smddp {
namespace {

int distance(int from, int to, int size) { return (to - from + size) % size; }

/// Shares of one vector differ by an element for each time that it was cut.
bool is_near(std::size_t one, std::size_t other, int hosts) {
  return std::max(one, other) - std::min(one, other) <= static_cast<std::size_t>(hosts);
}

/// Everything but the peer, and of which buffer a shard is taken: that depends on whose it is.
bool are_alike(const Step& one, const Step& other, int hosts) {
  if (one.kind != other.kind || one.after != other.after) return false;
  if (one.sources.size() != other.sources.size()) return false;
  for (std::size_t i = 0; i < one.sources.size(); ++i) {
    if (!is_near(one.sources[i].count, other.sources[i].count, hosts)) return false;
  }
  return is_near(one.target.count, other.target.count, hosts) &&
         one.native.collective == other.native.collective &&
         is_near(one.native.in.count, other.native.in.count, hosts) &&
         is_near(one.native.out.count, other.native.out.count, hosts);
}

/// Compares plans with the one of rank 0.
class Comparison {
 public:
  Comparison(const CallPlans& plans, const Placement& placement)
      : plans_(plans), placement_(placement), first_(plans.of(0)) {}

  bool holds(Symmetry symmetry) const {
    const Fold fold(placement_, symmetry);
    for (const int host : some_hosts()) {
      for (const Rank rank : placement_.ranks_on(host)) {
        if (!is_image(rank, fold)) return false;
      }
    }
    return true;
  }

  /// The ranks of each host do alike, whatever hosts do.
  bool holds_in_hosts() const {
    const Fold fold(placement_, Symmetry::kLanes);
    for (const int host : some_hosts()) {
      const Plan leader = plans_.of(placement_.ranks_on(host)[0]);
      for (const Rank rank : placement_.ranks_on(host)) {
        if (!is_image(rank, placement_.ranks_on(host)[0], leader, fold)) return false;
      }
    }
    return true;
  }

 private:
  std::set<int> some_hosts() const {
    const int hosts = placement_.hosts();
    std::set<int> some{0, hosts / 3, hosts / 2, hosts - 1};
    for (int host = 0; host < std::min(hosts, 4); ++host) some.insert(host);
    return some;
  }

  bool is_image(Rank rank, const Fold& fold) const { return is_image(rank, 0, first_, fold); }

  bool is_image(Rank rank, Rank of, const Plan& expected, const Fold& fold) const {
    const Plan plan = plans_.of(rank);
    if (plan.steps.size() != expected.steps.size()) return false;
    for (std::size_t i = 0; i < plan.steps.size(); ++i) {
      const Step& step = plan.steps[i];
      const Step& first = expected.steps[i];
      if (!are_alike(step, first, placement_.hosts())) return false;
      if (step.peer < 0) continue;
      if (fold.way(rank, step.peer) != fold.way(of, first.peer)) return false;
    }
    return true;
  }

  const CallPlans& plans_;
  const Placement& placement_;
  Plan first_;
};

}  // namespace

Symmetry symmetry_of(const CallPlans& plans, const Placement& placement) {
  const Comparison comparison(plans, placement);
  if (comparison.holds(Symmetry::kRotation)) return Symmetry::kRotation;
  const bool powers = std::has_single_bit(static_cast<unsigned>(placement.hosts()));
  if (powers && comparison.holds(Symmetry::kExchange)) return Symmetry::kExchange;
  return comparison.holds_in_hosts() ? Symmetry::kLanes : Symmetry::kNone;
}

std::vector<Rank> Fold::actors() const {
  if (has_one_actor(symmetry_)) return {0};
  std::vector<Rank> actors;
  for (Rank rank = 0; rank < placement_->world(); ++rank) {
    if (actor_of(rank) == rank) actors.push_back(rank);
  }
  return actors;
}

Rank Fold::actor_of(Rank rank) const {
  if (has_one_actor(symmetry_)) return 0;
  return symmetry_ == Symmetry::kLanes ? rank_at(placement_->host_of(rank), 0) : rank;
}

Fold::Way Fold::way(Rank from, Rank to) const {
  if (symmetry_ == Symmetry::kNone) return {from, to};
  const int host = placement_->host_of(from);
  const int other = placement_->host_of(to);
  const int ranks = static_cast<int>(placement_->ranks_on(0).size());
  const int local = distance(placement_->local_rank(from), placement_->local_rank(to), ranks);
  switch (symmetry_) {
    case Symmetry::kRotation:
      return {0, rank_at(distance(host, other, placement_->hosts()), local)};
    case Symmetry::kExchange:
      return {0, rank_at(host ^ other, local)};
    default:
      return {rank_at(host, 0), rank_at(other, local)};
  }
}

Rank Fold::rank_at(int host, int local) const {
  return placement_->ranks_on(host)[static_cast<std::size_t>(local)];
}

}  // namespace smddp
