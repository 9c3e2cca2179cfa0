// Recursive halving, then doubling, over N = 2^k hosts.
//
//   4 hosts, lane in quarters:  0 <-> 1, 2 <-> 3  exchange halves     each adds one half
//                               0 <-> 2, 1 <-> 3  exchange quarters   each adds one quarter
//                               then back: quarters to the same partners, then halves
//
// Neighbours come first, with the largest pieces, so the sums are nodes of the canonical tree.
// Steps: 2 log2 N hops. Bytes sent per host: 2 (N - 1) / N * n, the ring's, in 2 log2 N messages.
// Order: canonical tree over local ranks, then over hosts.
// Source: Rabenseifner's all-reduce, with the order of partners reversed.
#include <bit>

#include "plan/algorithms/all_reduce/lanes.h"
#include "plan/algorithms/list.h"
#include "plan/algorithms/suits.h"

namespace smddp {
namespace {

/// One exchange with the partner whose number differs in one bit.
struct Round {
  Rank partner = 0;
  Part kept;   ///< of the lane; this host goes on with it
  Part given;  ///< the partner does
  StepId sent = 0;
  StepId summed = 0;
};

class Halving {
 public:
  Halving(PlanBuilder& plan, const Layout& layout, const LaneReduction& lane)
      : plan_(plan), layout_(layout), lane_(lane) {}

  Steps run() {
    Ready sum = as_partial(plan_, lane_.partial);
    for (int bit = 1; bit < layout_.hosts(); bit *= 2) sum = halve(bit, sum);
    Steps complete = sum.ready;
    for (auto round = rounds_.rbegin(); round != rounds_.rend(); ++round)
      complete.add(give_back(*round, complete));
    return complete;
  }

 private:
  Ready halve(int bit, const Ready& sum) {
    const bool is_upper = (layout_.host() & bit) != 0;
    const Part whole = rounds_.empty() ? Part{0, lane_.target.count} : rounds_.back().kept;
    Part halves[] = {share_of(whole.count, 2, 0), share_of(whole.count, 2, 1)};
    const Range mine = slice(sum.range, halves[is_upper ? 1 : 0]);
    const Range theirs = slice(sum.range, halves[is_upper ? 0 : 1]);
    for (Part& half : halves) half.offset += whole.offset;
    Round round{.partner = layout_.peer_on(layout_.host() ^ bit),
                .kept = halves[is_upper ? 1 : 0],
                .given = halves[is_upper ? 0 : 1]};

    round.sent = plan_.send(round.partner, theirs, sum.ready);
    const Range received = plan_.beside(mine, mine.count);
    Steps ready = sum.ready;
    ready.add(plan_.recv(round.partner, received));
    const bool is_last = bit * 2 == layout_.hosts();
    const Range result = is_last ? slice(lane_.target, round.kept) : plan_.beside(mine, mine.count);
    std::vector<Range> sources{mine, received};
    if (is_upper) std::swap(sources[0], sources[1]);
    round.summed = plan_.reduce(std::move(sources), result,
                                {lane_.reduction.op, is_last ? lane_.reduction.divisor : 1}, ready);
    rounds_.push_back(round);
    return {result, {round.summed}};
  }

  /// Sends the finished half of a round to its partner, and receives the other one.
  StepId give_back(const Round& round, const Steps& complete) {
    plan_.send(round.partner, slice(lane_.target, round.kept), complete);
    // In place this part of `out` is what the first round sent (or added).
    const Round& first = rounds_.front();
    const StepId free = &round == &first ? first.sent : first.summed;
    return plan_.recv(round.partner, slice(lane_.target, round.given), {free});
  }

  PlanBuilder& plan_;
  const Layout& layout_;
  const LaneReduction& lane_;
  std::vector<Round> rounds_;
};

Steps halve_and_double(PlanBuilder& plan, const Layout& layout, const LaneReduction& lane) {
  return Halving(plan, layout, lane).run();
}

Plan make(const CollectiveSpec& spec, const Layout& layout) {
  return all_reduce_in_lanes("halving", spec, layout, halve_and_double);
}

Demand demand(const CollectiveSpec& spec, const Placement& placement) {
  const double n = static_cast<double>(spec.count);
  const double hosts = placement.hosts();
  const double lanes = placement.ranks_on_smallest_host();
  const double rounds = std::bit_width(static_cast<unsigned>(placement.hosts())) - 1;
  Demand demand = native_demand_of_all_reduce(spec, placement);
  demand.hops = 2 * rounds;
  demand.messages = 2 * rounds;
  const double partial = partial_weight(spec);
  demand.wire = (partial + 1) * (hosts - 1) / hosts * n;
  demand.piece = demand.wire / lanes / demand.messages;
  demand.reduced = 2 * partial * (hosts - 1) / hosts * n / lanes;
  return demand;
}

}  // namespace

const Algorithm kAllReduceHalving{Collective::kAllReduce, "halving", SumOrder::kNodeByNode,
                                  suits_powers_of_two,    make,      demand};

}  // namespace smddp
