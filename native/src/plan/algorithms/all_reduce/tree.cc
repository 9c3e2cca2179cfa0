// Binomial tree all-reduce: reduce to host 0, then broadcast.
//
//   6 hosts:  1 -> 0, 3 -> 2, 5 -> 4     2 -> 0     4 -> 0     and back the same way
//
// Steps: 2 floor(log2 N) hops, 2 (N - 1) messages in all, the fewest there can be. Bytes through
// host 0: ceil(log2 N) * n in each direction, one after the other.
// Order: canonical tree over local ranks, then over hosts: host h adds what h + 1, h + 2, h + 4 ...
// have added up.
// Source: textbook binomial reduce and broadcast.
#include <bit>

#include "plan/algorithms/all_reduce/lanes.h"
#include "plan/algorithms/list.h"
#include "plan/algorithms/suits.h"

namespace smddp {
namespace {

Steps up_and_down(PlanBuilder& plan, const Layout& layout, const LaneReduction& lane) {
  const int host = layout.host();
  std::vector<int> children;
  int bit = 1;
  for (; bit < layout.hosts() && (host & bit) == 0; bit *= 2) {
    if (host + bit < layout.hosts()) children.push_back(host + bit);
  }
  const bool is_root = host == 0;

  Ready sum = as_partial(plan, lane.partial);
  for (const int child : children) {
    const bool is_total = is_root && child == children.back();
    const Range received = plan.beside(sum.range, lane.target.count);
    Steps ready = sum.ready;
    ready.add(plan.recv(layout.peer_on(child), received));
    const Range result = is_total ? lane.target : plan.beside(sum.range, lane.target.count);
    const Reduction reduction{lane.reduction.op, is_total ? lane.reduction.divisor : 1};
    sum = {result, {plan.reduce({sum.range, received}, result, reduction, ready)}};
  }
  if (!is_root) {
    const Rank parent = layout.peer_on(host - bit);
    const StepId sent = plan.send(parent, sum.range, sum.ready);
    // In place `out` is what was added or sent; waiting costs nothing, as the parent needs it
    // first.
    sum = {lane.target, {plan.recv(parent, lane.target, {sent})}};
  }
  for (auto child = children.rbegin(); child != children.rend(); ++child)
    plan.send(layout.peer_on(*child), lane.target, sum.ready);
  return sum.ready;
}

Plan make(const CollectiveSpec& spec, const Layout& layout) {
  return all_reduce_in_lanes("tree", spec, layout, up_and_down);
}

Demand demand(const CollectiveSpec& spec, const Placement& placement) {
  const double n = static_cast<double>(spec.count);
  const double lanes = placement.ranks_on_smallest_host();
  const double children = std::bit_width(static_cast<unsigned>(placement.hosts() - 1));
  Demand demand = native_demand_of_all_reduce(spec, placement);
  demand.hops = 2 * (std::bit_width(static_cast<unsigned>(placement.hosts())) - 1);
  demand.messages = children;
  const double partial = partial_weight(spec);
  demand.wire = (partial + 1) * children * n;
  demand.piece = (partial + 1) / 2 * n / lanes;
  demand.reduced = 2 * partial * children * n / lanes;
  return demand;
}

}  // namespace

const Algorithm kAllReduceTree{
    Collective::kAllReduce, "tree", SumOrder::kNodeByNode, suits_all, make, demand};

}  // namespace smddp
