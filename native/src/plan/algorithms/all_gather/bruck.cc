// Bruck's all-gather over N hosts of equal size, with any block sizes.
//
//   scratch of host h: blocks of h, h + 1, h + 2 ... in this order, first the own one
//   for d = 1, 2, 4 ... below N: the first min(d, N - d) of them --> host h - d
//                                those of host h + d, behind the others
//
// Steps: ceil(log2 N) hops and messages. Bytes sent per host: (N - 1) times a host's blocks; one
// copy more of everything than the direct schedule.
// Source: Bruck et al., "Efficient algorithms for all-to-all communications in multiport
// message-passing systems" (1997).
#include <algorithm>
#include <bit>

#include "plan/algorithms/all_gather/blocks.h"
#include "plan/algorithms/list.h"
#include "plan/algorithms/suits.h"

namespace smddp {
namespace {

/// Where the blocks of hosts first, first + 1, ... lie one after the other.
class Row {
 public:
  Row(const std::vector<Part>& blocks, int first) : blocks_(blocks), first_(first) {}

  int host_at(int place) const { return (first_ + place) % static_cast<int>(blocks_.size()); }
  std::size_t count_at(int place) const {
    return blocks_[static_cast<std::size_t>(host_at(place))].count;
  }
  /// Places [from, to).
  Part part(int from, int to) const {
    Part part;
    for (int place = 0; place < to; ++place)
      (place < from ? part.offset : part.count) += count_at(place);
    return part;
  }

 private:
  const std::vector<Part>& blocks_;
  int first_;
};

std::vector<Ready> gather_by_doubling(PlanBuilder& plan, const Layout& layout,
                                      const std::vector<Part>& blocks, const Range& own) {
  const int hosts = layout.hosts();
  const Row row(blocks, layout.host());
  const Range scratch = plan.scratch(row.part(0, hosts).count);
  std::vector<Steps> arrived{{plan.copy(own, slice(scratch, row.part(0, 1)))}};  // by place
  for (int distance = 1; distance < hosts; distance *= 2) {
    const int blocks_now = std::min(distance, hosts - distance);
    Steps have;
    for (int place = 0; place < blocks_now; ++place)
      have.add(arrived[static_cast<std::size_t>(place)]);
    plan.send(layout.peer_on((layout.host() - distance + hosts) % hosts),
              slice(scratch, row.part(0, blocks_now)), have);
    const StepId received = plan.recv(layout.peer_on((layout.host() + distance) % hosts),
                                      slice(scratch, row.part(distance, distance + blocks_now)));
    arrived.insert(arrived.end(), static_cast<std::size_t>(blocks_now), Steps{received});
  }
  std::vector<Ready> gathered(blocks.size());
  for (int place = 1; place < hosts; ++place) {
    const auto host = static_cast<std::size_t>(row.host_at(place));
    const Range block = slice(scratch, row.part(place, place + 1));
    Steps ready = arrived[static_cast<std::size_t>(place)];
    if (layout.alone()) ready = {plan.copy(block, range_of(Space::kOut, blocks[host]), ready)};
    gathered[host] = {block, ready};
  }
  return gathered;
}

Plan make(const CollectiveSpec& spec, const Layout& layout) {
  return all_gather_in_lanes("bruck", spec, layout, gather_by_doubling);
}

Demand demand(const CollectiveSpec& spec, const Placement& placement) {
  const double hosts = placement.hosts();
  const double block = largest_block(spec);
  Demand demand = native_demand_of_all_gather(spec, placement);
  demand.hops = std::bit_width(static_cast<unsigned>(placement.hosts() - 1));
  demand.messages = demand.hops;
  demand.piece = (hosts - 1) * block / demand.hops;
  demand.wire = (hosts - 1) * placement.ranks_on_smallest_host() * block;
  demand.reduced = hosts * block;  // copied
  return demand;
}

}  // namespace

const Algorithm kAllGatherBruck{Collective::kAllGather, "bruck", SumOrder::kAtOnce,
                                suits_even_hosts,       make,    demand};

}  // namespace smddp
