#pragma once

#include <cstddef>
#include <vector>

#include "plan/builder.h"
#include "plan/partition.h"
#include "plan/plan.h"
#include "plan/spec.h"
#include "topology/placement.h"

namespace smddp {

/// Hosts to send to, and to receive from, at the same time.
struct Round {
  int to;
  int from;
};

/// Where `self` stands among several hosts. Hosts are wired as a full mesh: any rank may send to
/// any rank of another host. Vectors that every host holds travel in *lanes*: lane c is slice c of
/// the vector, carried between hosts by local rank c of each host. There are as many lanes as the
/// smallest host has ranks.
class Layout {
 public:
  Layout(const Placement& placement, Rank self);

  Rank self() const { return self_; }
  int host() const { return host_; }
  int local() const { return local_; }  ///< local rank of self
  int hosts() const { return placement_.hosts(); }
  int world() const { return placement_.world(); }
  int lanes() const { return lanes_; }
  int ranks_on(int host) const;
  int host_of(Rank rank) const { return placement_.host_of(rank); }
  int local_rank_of(Rank rank) const { return placement_.local_rank(rank); }
  Rank rank_at(int host, int local) const;
  /// The rank that carries on `host` the lane of self.
  Rank peer_on(int host) const { return rank_at(host, local_); }
  /// Ranks of this host, by local rank.
  const std::vector<Rank>& neighbours() const { return placement_.ranks_on(host_); }

  /// No other rank here: native steps are not needed.
  bool alone() const { return ranks_here() == 1; }
  bool is_lane() const { return local_ < lanes_; }
  int ranks_here() const { return ranks_on(host_); }
  /// No host has a second rank: what hosts bring to a sum are contributions.
  bool all_alone() const { return hosts() == world(); }

  /// The other hosts in the order in which to send to them, and in which to receive from them. Host
  /// h starts with h + 1, so that at any time each host is the target of one other, not of all.
  std::vector<int> send_order() const;
  std::vector<int> recv_order() const;
  /// Both, step by step: in round d each host sends to h + d and receives from h - d.
  std::vector<Round> rounds() const;

 private:
  const Placement& placement_;
  Rank self_;
  int host_;
  int local_;
  int lanes_;
};

/// Something that is in `range` once `ready` are complete.
struct Ready {
  Range range;
  Steps ready;
};

/// Those of `readers` that something which overwrites `read` in `out` has to wait for: all when it
/// is the caller's input, which may be the same memory, none when it is scratch.
Steps before_overwriting(const Range& read, const Steps& readers);

/// Slices of a vector of `count` elements by local rank; empty for ranks that carry no lane.
std::vector<Part> lane_parts(const Layout& layout, std::size_t count);

/// The lane of self in `vector`.
Range lane_of(const Layout& layout, const Range& vector);

/// `contribution` as a partial sum, a copy where those are wider.
Ready as_partial(PlanBuilder& plan, const Ready& contribution);

/// The same, unless all hosts bring contributions, which need not be wide to be added at once.
Ready as_share(PlanBuilder& plan, const Layout& layout, const Ready& contribution);

/// Reduces `vector`, in the `in` of all, over this host (undivided). Each lane's rank gets its
/// lane; a rank alone on its host has it there already, as_share.
Ready reduce_into_lanes(PlanBuilder& plan, const Layout& layout, const Range& vector, ReduceOp op);

/// What an element of the partial sums of `spec` weighs in a Demand: 2 where they are wider.
double partial_weight(const CollectiveSpec& spec);

/// The same for as_share.
double share_weight(const CollectiveSpec& spec, const Placement& placement);

/// Spreads the lanes of `vector`, in the `out` of all, from the lanes' ranks to all ranks of this
/// host.
void spread_lanes(PlanBuilder& plan, const Layout& layout, const Range& vector, const Steps& after);

/// An empty message each way between every two hosts. Data of rooted collectives flows one way
/// only; this one shows both sides the other's signature.
void greet_hosts(PlanBuilder& plan, const Layout& layout);

/// For the ranks of a host that exchange no data with each other: they see each other's signature.
void meet_neighbours(PlanBuilder& plan, const Layout& layout);

/// The ranks of other hosts, in the order in which to serve them.
std::vector<Rank> ranks_elsewhere(const Layout& layout);

/// Blocks of the ranks of this host, by local rank.
std::vector<Part> blocks_of_neighbours(const Layout& layout, const std::vector<Part>& blocks);

/// Step k of handling the ranks of a host with `ranks` ranks by the ranks of this one: local rank j
/// takes rank k * ranks_here + j of that host.
int turns_for(const Layout& layout, int ranks);

}  // namespace smddp
