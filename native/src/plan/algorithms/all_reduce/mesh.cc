// Direct all-reduce over N hosts, C lanes (two hops whatever N is).
//
//   in of the host's ranks                    lane c of the vector, cut into one shard per host
//     |  1 native reduce_scatter               [ shard 0 | shard 1 | shard 2 ]
//     v
//   partial of lane c --2 shard k to host k--> N partials of the own shard
//                                                |  3 sum in host order, divide
//                                                v
//   out, lane c <-----4 shard k from host k--- the own shard of the result
//     |  5 native all_gather
//     v
//   out of the host's ranks
//
// A large vector goes through this in segments, 1 to 3 of all before 4 and 5 of the first: while a
// segment is on the wire the host works on others.
//
// Steps: 2 hops between hosts; 2 native steps for each segment. Bytes sent per host:
// 2 (N - 1) / N * n, the ring's.
// Order: canonical tree over local ranks, then over hosts.
// Source: Herring (SC20) and SMDDP's AllReduce with the servers on the training hosts; textbooks
// call the part between hosts a direct ("one-to-all personalised") reduce-scatter and all-gather.
#include <algorithm>
#include <vector>

#include "plan/algorithms/all_reduce/lanes.h"
#include "plan/algorithms/list.h"
#include "plan/algorithms/pace.h"
#include "plan/algorithms/suits.h"

namespace smddp {
namespace {

constexpr int kMaxSegments = 8;
// Below this a message costs more than it hides.
constexpr std::size_t kLeastMessageBytes = std::size_t{64} << 10;

int segments_for(const CollectiveSpec& spec, int hosts, int lanes) {
  const std::size_t messages =
      static_cast<std::size_t>(hosts) * static_cast<std::size_t>(lanes) * kLeastMessageBytes;
  const std::size_t most = spec.count * size_of(spec.dtype) / messages;
  return static_cast<int>(std::clamp<std::size_t>(most, 1, kMaxSegments));
}

/// A segment whose partials are on their way to their owners.
struct Segment {
  Part part;
  LaneReduction lane;
  std::vector<StepId> sent;  ///< by host
  StepId summed = 0;         ///< the own shard
};

Part shard_of(const LaneReduction& lane, const Layout& layout, int host) {
  return share_of(lane.target.count, layout.hosts(), host);
}

/// Each host gets all partials of its shard, and sums them.
void scatter(PlanBuilder& plan, const Layout& layout, Pace& pace, Segment& segment) {
  const auto& [partial, target, reduction] = segment.lane;
  const Part own = shard_of(segment.lane, layout, layout.host());
  std::vector<Range> partials(static_cast<std::size_t>(layout.hosts()), slice(partial.range, own));
  Steps have_partials = partial.ready;
  segment.sent.resize(partials.size());
  for (const auto& [to, from] : layout.rounds()) {
    const Range shard = slice(partial.range, shard_of(segment.lane, layout, to));
    segment.sent[static_cast<std::size_t>(to)] =
        plan.send(layout.peer_on(to), shard, pace.next_send(partial.ready));
    Range& received = partials[static_cast<std::size_t>(from)];
    received = plan.beside(partial.range, own.count);
    have_partials.add(pace.received(plan.recv(layout.peer_on(from), received)));
  }
  segment.summed = plan.reduce(partials, slice(target, own), reduction, have_partials);
}

/// Each host gets the shards of the result.
Steps gather(PlanBuilder& plan, const Layout& layout, Pace& pace, const Segment& segment) {
  const Range& target = segment.lane.target;
  const Range own = slice(target, shard_of(segment.lane, layout, layout.host()));
  Steps complete{segment.summed};
  for (const auto& [to, from] : layout.rounds()) {
    plan.send(layout.peer_on(to), own, pace.next_send({segment.summed}));
    // In place this shard of `out` is what we sent to its owner. Waiting costs nothing: the owner
    // answers only after it has our shard.
    const StepId free = segment.sent[static_cast<std::size_t>(from)];
    const Range shard = slice(target, shard_of(segment.lane, layout, from));
    complete.add(pace.received(plan.recv(layout.peer_on(from), shard, {free})));
  }
  return complete;
}

Plan make(const CollectiveSpec& spec, const Layout& layout) {
  PlanBuilder plan{"mesh", spec};
  const Reduction reduction = reduction_of(spec, layout.world());
  const int count = segments_for(spec, layout.hosts(), layout.lanes());
  // One segment to each host at a time, where there is more than one other.
  Pace pace{layout.hosts() > 2 ? static_cast<std::size_t>(layout.hosts() - 1) : 0};
  std::vector<Segment> segments(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    Segment& segment = segments[static_cast<std::size_t>(i)];
    segment.part = share_of(spec.count, count, i);
    const Ready partial =
        reduce_into_lanes(plan, layout, range_of(Space::kIn, segment.part), reduction.op);
    segment.lane = {partial, lane_of(layout, range_of(Space::kOut, segment.part)), reduction};
    if (layout.is_lane()) scatter(plan, layout, pace, segment);
  }
  for (const Segment& segment : segments) {
    Steps complete = segment.lane.partial.ready;
    if (layout.is_lane()) complete = gather(plan, layout, pace, segment);
    spread_lanes(plan, layout, range_of(Space::kOut, segment.part), complete);
  }
  return std::move(plan).finish();
}

Demand demand(const CollectiveSpec& spec, const Placement& placement) {
  const double n = static_cast<double>(spec.count);
  const double hosts = placement.hosts();
  const double lanes = placement.ranks_on_smallest_host();
  Demand demand = native_demand_of_all_reduce(spec, placement);
  demand.segments = segments_for(spec, placement.hosts(), placement.ranks_on_smallest_host());
  const double share = share_weight(spec, placement);
  demand.reduced = share * n / lanes;
  demand.hops = 2;
  demand.messages = 2 * (hosts - 1);
  demand.wire = (share + 1) * (hosts - 1) / hosts * n;
  // Only the first segment's way to the wire and the last one's from it take hops and messages of
  // their own; those of the others are made while its bytes are on the wire.
  demand.piece = (share + 1) / 2 * n / lanes / hosts / demand.segments;
  return demand;
}

}  // namespace

const Algorithm kAllReduceMesh{
    Collective::kAllReduce, "mesh", SumOrder::kAtOnce, suits_all, make, demand};

}  // namespace smddp
