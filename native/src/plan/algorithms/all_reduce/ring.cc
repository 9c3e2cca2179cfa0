// Ring all-reduce over N hosts.
//
//   host h holds chunks 0 .. N - 1 of its lane and talks to h + 1 and h - 1 alone
//   N - 1 times: the sum so far of one chunk --> h + 1, which adds its own     (h ends with h + 1)
//   N - 1 times: a finished chunk --> h + 1
//
// Steps: 2 (N - 1) hops. Bytes sent per host: 2 (N - 1) / N * n, always to the same host.
// Order: around the ring from the chunk's number on, so it differs from chunk to chunk: not
// canonical.
// Source: textbook ring reduce-scatter and all-gather (Patarasuk and Yuan, 2009).
#include "plan/algorithms/all_reduce/lanes.h"
#include "plan/algorithms/list.h"
#include "plan/algorithms/suits.h"

namespace smddp {
namespace {

Steps go_round(PlanBuilder& plan, const Layout& layout, const LaneReduction& lane) {
  const auto& [share, target, reduction] = lane;
  const Ready partial = as_partial(plan, share);
  const int hosts = layout.hosts();
  const Rank next = layout.peer_on((layout.host() + 1) % hosts);
  const Rank previous = layout.peer_on((layout.host() + hosts - 1) % hosts);
  // Chunk of the step: both halves pass chunks backwards.
  const auto chunk = [&](int first, int step) {
    return share_of(target.count, hosts, (first - step + 2 * hosts) % hosts);
  };

  std::vector<StepId> last_use;  // of the chunk of `partial` that is handled in each step
  Ready sum{slice(partial.range, chunk(layout.host(), 0)), partial.ready};
  for (int step = 0; step < hosts - 1; ++step) {
    const bool is_last = step == hosts - 2;
    const StepId sent = plan.send(next, sum.range, sum.ready);
    if (step == 0) last_use.push_back(sent);
    const Part mine = chunk(layout.host() - 1, step);
    const Range received = plan.beside(partial.range, mine.count);
    Steps ready = partial.ready;
    ready.add(plan.recv(previous, received));
    const Range result = is_last ? slice(target, mine) : plan.beside(partial.range, mine.count);
    const StepId summed = plan.reduce({received, slice(partial.range, mine)}, result,
                                      {reduction.op, is_last ? reduction.divisor : 1}, ready);
    last_use.push_back(summed);
    sum = {result, {summed}};
  }

  Steps complete = sum.ready;
  for (int step = 0; step < hosts - 1; ++step) {
    plan.send(next, sum.range, sum.ready);
    const Range arriving = slice(target, chunk(layout.host(), step));
    // In place this chunk of `out` was read as part of `partial`.
    const StepId free = last_use[static_cast<std::size_t>(step)];
    sum = {arriving, {plan.recv(previous, arriving, {free})}};
    complete.add(sum.ready);
  }
  return complete;
}

Plan make(const CollectiveSpec& spec, const Layout& layout) {
  return all_reduce_in_lanes("ring", spec, layout, go_round);
}

Demand demand(const CollectiveSpec& spec, const Placement& placement) {
  const double n = static_cast<double>(spec.count);
  const double hosts = placement.hosts();
  const double lanes = placement.ranks_on_smallest_host();
  Demand demand = native_demand_of_all_reduce(spec, placement);
  demand.hops = 2 * (hosts - 1);
  demand.messages = 2 * (hosts - 1);
  const double partial = partial_weight(spec);
  demand.wire = (partial + 1) * (hosts - 1) / hosts * n;
  demand.piece = (partial + 1) / 2 * n / lanes / hosts;
  demand.reduced = 2 * partial * (hosts - 1) / hosts * n / lanes;
  return demand;
}

}  // namespace

const Algorithm kAllReduceRing{
    Collective::kAllReduce, "ring", SumOrder::kOther, suits_all, make, demand};

}  // namespace smddp
