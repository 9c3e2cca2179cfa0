// Recursive halving reduce-scatter over N = 2^k hosts of equal size, with any block sizes.
//
//   the partial sums of one lane's blocks lie with the bits of their host's number reversed:
//   4 hosts: [ 0 2 | 1 3 ]   0 <-> 1, 2 <-> 3 exchange halves, each adds the one with its own block
//            [ 0 | 2 ]       0 <-> 2, 1 <-> 3 exchange quarters
//
// Steps: log2 N hops and messages. Bytes sent per host: (N - 1) / N * n.
// Order: canonical tree over local ranks, then over hosts, because neighbours come first.
// Source: textbook recursive halving, with the order of partners reversed.
#include <bit>
#include <utility>

#include "plan/algorithms/list.h"
#include "plan/algorithms/reduce_scatter/blocks.h"
#include "plan/algorithms/suits.h"

namespace smddp {
namespace {

int reversed(int number, int hosts) {
  int result = 0;
  for (int bit = 1; bit < hosts; bit *= 2) result = result * 2 + ((number & bit) != 0 ? 1 : 0);
  return result;
}

/// Partial sums of blocks that lie one after the other.
using Row = std::vector<Ready>;

/// One half of a row as one piece.
Ready half_of(const Row& row, int number) {
  const std::size_t half = row.size() / 2;
  const std::size_t first = number == 0 ? 0 : half;
  Ready whole{row[first].range, {}};
  whole.range.count = 0;
  for (std::size_t i = first; i < first + half; ++i) {
    whole.range.count += row[i].range.count;
    whole.ready.add(row[i].ready);
  }
  return whole;
}

Row lay_out(PlanBuilder& plan, const Layout& layout, const CollectiveSpec& spec) {
  Row row;
  for (int place = 0; place < layout.hosts(); ++place) {
    Ready block = reduce_blocks(plan, layout, spec, reversed(place, layout.hosts()), 0);
    if (layout.alone()) {
      const Range packed = plan.partials(block.range.count);
      block = {packed, {plan.copy(block.range, packed)}};
    }
    row.push_back(block);
  }
  return row;
}

/// Exchanges halves with the host whose number differs in `bit`; the last sum goes to `out`.
Row halve(PlanBuilder& plan, const Layout& layout, const Row& row, int bit,
          const Reduction& reduction) {
  const int side = (layout.host() & bit) != 0 ? 1 : 0;
  const Rank partner = layout.peer_on(layout.host() ^ bit);
  const bool is_last = row.size() == 2;
  const Ready mine = half_of(row, side);
  const Ready theirs = half_of(row, 1 - side);
  plan.send(partner, theirs.range, theirs.ready);
  const Range received = plan.partials(mine.range.count);
  Steps ready = mine.ready;
  ready.add(plan.recv(partner, received));
  const Range result =
      is_last ? Range{Space::kOut, 0, received.count} : plan.partials(received.count);
  std::vector<Range> sources{mine.range, received};
  if (side == 1) std::swap(sources[0], sources[1]);
  const StepId summed = plan.reduce(std::move(sources), result,
                                    {reduction.op, is_last ? reduction.divisor : 1}, ready);
  const auto half = static_cast<std::ptrdiff_t>(row.size() / 2);
  Row sums(row.begin() + side * half, row.begin() + (side + 1) * half);
  std::size_t offset = 0;
  for (Ready& sum : sums) {
    sum = {slice(result, {offset, sum.range.count}), {summed}};
    offset += sum.range.count;
  }
  return sums;
}

Plan make(const CollectiveSpec& spec, const Layout& layout) {
  PlanBuilder plan("halving", spec);
  const Reduction reduction = reduction_of(spec, layout.world());
  Row row = lay_out(plan, layout, spec);
  for (int bit = 1; bit < layout.hosts(); bit *= 2) row = halve(plan, layout, row, bit, reduction);
  return std::move(plan).finish();
}

Demand demand(const CollectiveSpec& spec, const Placement& placement) {
  const double n = static_cast<double>(total_of(blocks_of(spec.counts)));
  const double hosts = placement.hosts();
  const double lanes = placement.ranks_on_smallest_host();
  Demand demand = native_demand_of_reduce_scatter(spec, placement);
  demand.hops = std::bit_width(static_cast<unsigned>(placement.hosts())) - 1;
  demand.messages = demand.hops;
  const double partial = partial_weight(spec);
  demand.wire = partial * (hosts - 1) / hosts * n;
  demand.piece = demand.wire / lanes / demand.hops;
  demand.reduced = 2 * partial * (hosts - 1) / hosts * n / lanes;
  if (placement.hosts() == placement.world()) demand.reduced += n;  // packed first
  return demand;
}

}  // namespace

const Algorithm kReduceScatterHalving{Collective::kReduceScatter, "halving", SumOrder::kNodeByNode,
                                      suits_even_powers_of_two,   make,      demand};

}  // namespace smddp
