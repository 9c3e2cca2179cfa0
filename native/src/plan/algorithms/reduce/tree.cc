// Binomial tree reduce: to host 0, whose sums are those of the canonical tree, and from there to
// the root's host.
//
//   6 hosts:  1 -> 0, 3 -> 2, 5 -> 4     2 -> 0     4 -> 0     0 -> root's host
//
// Steps: floor(log2 N) hops, one more unless the root is on host 0; each message is n elements over
// C lanes.
// Order: canonical tree over local ranks, then over hosts.
// Source: textbook binomial reduce; not rotated to the root, which would change the order.
#include <bit>

#include "plan/algorithms/list.h"
#include "plan/algorithms/reduce/lanes.h"
#include "plan/algorithms/suits.h"

namespace smddp {
namespace {

/// Adds up what comes from the hosts below; the total of host 0 is divided. Returns this host's
/// sum.
Ready climb(PlanBuilder& plan, const Layout& layout, const LaneSink& sink) {
  const int host = layout.host();
  const std::size_t count = sink.partial.range.count;
  const bool ends_here = host == 0 && sink.root_host == 0;
  Ready sum = as_partial(plan, sink.partial);
  int bit = 1;
  for (; bit < layout.hosts() && (host & bit) == 0; bit *= 2) {
    if (host + bit >= layout.hosts()) continue;
    const bool is_total = host == 0 && bit * 2 >= layout.hosts();
    const Range received = plan.beside(sum.range, count);
    Steps ready = sum.ready;
    ready.add(plan.recv(layout.peer_on(host + bit), received));
    Range result = sink.target;
    // A total that goes on to another host is a result, too.
    if (!is_total) {
      result = plan.beside(sum.range, count);
    } else if (!ends_here) {
      result = plan.scratch(count);
    }
    const Reduction reduction{sink.reduction.op, is_total ? sink.reduction.divisor : 1};
    sum = {result, {plan.reduce({sum.range, received}, result, reduction, ready)}};
  }
  if (host != 0) sum.ready = {plan.send(layout.peer_on(host - bit), sum.range, sum.ready)};
  return sum;
}

Steps collect(PlanBuilder& plan, const Layout& layout, const LaneSink& sink) {
  const Ready sum = climb(plan, layout, sink);
  if (sink.root_host == 0) return sum.ready;
  if (layout.host() == 0) plan.send(layout.peer_on(sink.root_host), sum.range, sum.ready);
  if (layout.host() != sink.root_host) return {};
  Steps free;
  if (layout.alone()) free = sink.partial.ready;  // has read `in`, which may be `out`, to widen it
  free.add(before_overwriting(sink.partial.range, sum.ready));
  return {plan.recv(layout.peer_on(0), sink.target, free)};
}

Plan make(const CollectiveSpec& spec, const Layout& layout) {
  return reduce_in_lanes(PlanBuilder("tree", spec), spec, layout, collect);
}

Demand demand(const CollectiveSpec& spec, const Placement& placement) {
  const double n = static_cast<double>(spec.count);
  const double lanes = placement.ranks_on_smallest_host();
  const double children = std::bit_width(static_cast<unsigned>(placement.hosts() - 1));
  const double forward = placement.host_of(spec.root) == 0 ? 0 : 1;
  Demand demand = native_demand_of_reduce(spec, placement);
  demand.hops = std::bit_width(static_cast<unsigned>(placement.hosts())) - 1 + forward;
  demand.messages = 2;
  const double partial = partial_weight(spec);
  demand.wire = (partial * children + forward) * n;
  demand.piece = partial * n / lanes;
  demand.reduced = 2 * partial * children * n / lanes;
  return demand;
}

}  // namespace

const Algorithm kReduceTree{Collective::kReduce, "tree", SumOrder::kNodeByNode,
                            suits_all,           make,   demand};

}  // namespace smddp
