// Recursive doubling along the canonical tree, for any number of hosts.
//
//   5 hosts, tree (((0 1) (2 3)) 4):   0 <-> 1, 2 <-> 3    both add (0 1), (2 3)
//                                      0 <-> 2, 1 <-> 3    all four add ((0 1) (2 3))
//                                      0 <-> 4; 4 -> 1, 2, 3    and with the lone 4
//
// At each node of the tree the hosts below its left child hold one sum and those below its right
// child the other; each host gets the one that it lacks from one host of the other side. The right
// side may be the smaller one: then its hosts serve several.
// Steps: ceil(log2 N) hops. Bytes sent per host at powers of two: log2 N * n.
// Order: canonical tree over local ranks, then over hosts, because neighbours come first.
// Source: textbook recursive doubling; the walk along the tree replaces its fold of the hosts above
// a power of two, which would change the order.
#include <algorithm>
#include <bit>

#include "plan/algorithms/all_reduce/lanes.h"
#include "plan/algorithms/list.h"
#include "plan/algorithms/suits.h"

namespace smddp {
namespace {

/// A node of the tree as one host below it sees it.
struct Meeting {
  bool is_left;
  int source;
  std::vector<int> targets;
};

/// The node over hosts [first, first + count), which holds `host`.
Meeting meet_at(int first, int left, int right, int host) {
  const int place = host - first;
  if (place < left) {
    Meeting meeting{true, first + left + place % right, {}};
    if (place < right) meeting.targets = {first + left + place};
    return meeting;
  }
  Meeting meeting{false, host - left, {}};
  for (int other = place - left; other < left; other += right)
    meeting.targets.push_back(first + other);
  return meeting;
}

/// The nodes above `host`, from the lowest.
std::vector<Meeting> meetings_of(int host, int hosts) {
  std::vector<Meeting> meetings;
  int first = 0;
  for (int count = hosts; count > 1;) {
    const int left = static_cast<int>(std::bit_floor(static_cast<unsigned>(count - 1)));
    meetings.push_back(meet_at(first, left, count - left, host));
    const bool is_left = meetings.back().is_left;
    if (!is_left) first += left;
    count = is_left ? left : count - left;
  }
  std::reverse(meetings.begin(), meetings.end());
  return meetings;
}

Steps climb(PlanBuilder& plan, const Layout& layout, const LaneReduction& lane) {
  const Ready own = as_partial(plan, lane.partial);
  Ready sum = own;
  Steps first_sends;
  const std::vector<Meeting> meetings = meetings_of(layout.host(), layout.hosts());
  for (const Meeting& meeting : meetings) {
    const bool is_last = &meeting == &meetings.back();
    for (const int target : meeting.targets) {
      const StepId sent = plan.send(layout.peer_on(target), sum.range, sum.ready);
      if (&meeting == &meetings.front()) first_sends.add(sent);
    }
    const Range other = plan.beside(own.range, lane.target.count);
    Steps ready = sum.ready;
    ready.add(plan.recv(layout.peer_on(meeting.source), other));
    if (is_last) ready.add(before_overwriting(own.range, first_sends));
    const Range result = is_last ? lane.target : plan.beside(own.range, lane.target.count);
    const Reduction reduction{lane.reduction.op, is_last ? lane.reduction.divisor : 1};
    std::vector<Range> halves{sum.range, other};
    if (!meeting.is_left) std::swap(halves[0], halves[1]);
    sum = {result, {plan.reduce(std::move(halves), result, reduction, ready)}};
  }
  return sum.ready;
}

Plan make(const CollectiveSpec& spec, const Layout& layout) {
  return all_reduce_in_lanes("doubling", spec, layout, climb);
}

Demand demand(const CollectiveSpec& spec, const Placement& placement) {
  const double n = static_cast<double>(spec.count);
  const double lanes = placement.ranks_on_smallest_host();
  std::size_t most = 0;  // messages of the busiest host
  std::size_t hops = 0;
  for (int host = 0; host < placement.hosts(); ++host) {
    std::size_t messages = 0;
    const std::vector<Meeting> meetings = meetings_of(host, placement.hosts());
    for (const Meeting& meeting : meetings) messages += meeting.targets.size();
    most = std::max(most, messages);
    hops = std::max(hops, meetings.size());
  }
  Demand demand = native_demand_of_all_reduce(spec, placement);
  demand.hops = static_cast<double>(hops);
  demand.messages = static_cast<double>(most);
  const double partial = partial_weight(spec);
  demand.wire = partial * demand.messages * n;
  demand.piece = partial * n / lanes;
  demand.reduced = 2 * partial * demand.hops * n / lanes;
  return demand;
}

}  // namespace

const Algorithm kAllReduceDoubling{
    Collective::kAllReduce, "doubling", SumOrder::kNodeByNode, suits_all, make, demand};

}  // namespace smddp
