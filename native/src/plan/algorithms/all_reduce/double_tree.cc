// Double binary tree all-reduce: two trees over the hosts, each for one half of the lane.
//
//   7 hosts, first tree:        3            second tree: every host that has children in the
//                           1       5        first has none here, so each host passes on about
//                         0   2   4   6      one half of the lane, in both directions at once
//
//   segments of each half climb (host adds left child's, its own, right child's) and come back down
//
// Steps: 2 floor(log2 N) hops for the first segment, the others follow. Bytes sent per host: 2 n.
// Order: along the tree, another one for each half: not canonical.
// Source: Sanders, Speck and Traeff, "Two-tree algorithms for full bandwidth broadcast, reduction
// and scan" (2009).
#include <algorithm>
#include <bit>
#include <optional>

#include "plan/algorithms/all_reduce/lanes.h"
#include "plan/algorithms/list.h"
#include "plan/algorithms/suits.h"

namespace smddp {
namespace {

constexpr std::size_t kSegmentBytes = 128 * 1024;
constexpr std::size_t kMostSegments = 16;

/// The place in [first, last] that the highest power of two divides; there is one.
int top_of(int first, int last) {
  int power = static_cast<int>(std::bit_floor(static_cast<unsigned>(last)));
  while (last / power * power < first) power /= 2;
  return last / power * power;
}

/// Hosts next to one host in a tree.
struct Neighbours {
  std::optional<int> parent, left, right;
};

/// Trees over places 1 .. N, in which children lie on either side of their parent: odd places have
/// none. The second tree has the hosts at other places, so that odd and even change roles.
class Tree {
 public:
  Tree(int hosts, bool is_second) : hosts_(hosts), is_second_(is_second) {}

  Neighbours around(int host) const {
    Neighbours around;
    const int place = place_of(host);
    int first = 1;
    int last = hosts_;
    for (int top = top_of(first, last); top != place; top = top_of(first, last)) {
      around.parent = host_at(top);
      (place < top ? last : first) = place < top ? top - 1 : top + 1;
    }
    if (first < place) around.left = host_at(top_of(first, place - 1));
    if (place < last) around.right = host_at(top_of(place + 1, last));
    return around;
  }

 private:
  int place_of(int host) const {
    if (!is_second_) return host + 1;
    return hosts_ % 2 == 0 ? hosts_ - host : (host + 1) % hosts_ + 1;
  }
  int host_at(int place) const {
    if (!is_second_) return place - 1;
    return hosts_ % 2 == 0 ? hosts_ - place : (place + hosts_ - 2) % hosts_;
  }

  int hosts_;
  bool is_second_;
};

/// One half of a lane on its way along one tree.
class HalfLane {
 public:
  HalfLane(PlanBuilder& plan, const Layout& layout, const LaneReduction& lane, const Tree& tree)
      : plan_(plan), layout_(layout), lane_(lane), around_(tree.around(layout.host())) {}

  void climb(const Part& segment) {
    const Range own = slice(lane_.partial.range, segment);
    std::vector<Range> sources;
    Steps ready = lane_.partial.ready;
    const auto receive = [&](const std::optional<int>& child) {
      if (!child) return;
      sources.push_back(plan_.beside(own, segment.count));
      ready.add(plan_.recv(layout_.peer_on(*child), sources.back()));
    };
    receive(around_.left);
    sources.push_back(own);
    receive(around_.right);
    Ready sum{own, ready};
    const bool is_root = !around_.parent;
    if (sources.size() > 1) {
      sum.range = is_root ? slice(lane_.target, segment) : plan_.beside(own, segment.count);
      const Reduction reduction{lane_.reduction.op, is_root ? lane_.reduction.divisor : 1};
      sum.ready = {plan_.reduce(std::move(sources), sum.range, reduction, ready)};
    }
    if (!is_root) sum.ready = {plan_.send(layout_.peer_on(*around_.parent), sum.range, sum.ready)};
    risen_.push_back(sum.ready);
  }

  /// Returns what completes the segment.
  Steps descend(std::size_t number, const Part& segment) {
    const Range result = slice(lane_.target, segment);
    Steps ready = risen_[number];
    // In place `out` is what climbed; waiting costs nothing, as the parent needs it first.
    if (around_.parent) ready = {plan_.recv(layout_.peer_on(*around_.parent), result, ready)};
    for (const std::optional<int>& child : {around_.left, around_.right}) {
      if (child) plan_.send(layout_.peer_on(*child), result, ready);
    }
    return ready;
  }

 private:
  PlanBuilder& plan_;
  const Layout& layout_;
  const LaneReduction& lane_;
  const Neighbours around_;
  std::vector<Steps> risen_;  ///< by segment
};

std::size_t segments_of(std::size_t half_count, DType dtype) {
  return std::clamp(half_count * size_of(dtype) / kSegmentBytes, std::size_t{1}, kMostSegments);
}

int levels_of(int hosts) { return static_cast<int>(std::bit_width(static_cast<unsigned>(hosts))); }

/// Both trees step by step, in the same order on all hosts: messages between two hosts meet in
/// order even where they belong to both trees. A segment comes down `lag` segments later.
Steps pass_through(PlanBuilder& plan, const Layout& layout, const LaneReduction& shares,
                   std::size_t segments) {
  const LaneReduction lane{as_partial(plan, shares.partial), shares.target, shares.reduction};
  HalfLane halves[] = {{plan, layout, lane, Tree(layout.hosts(), false)},
                       {plan, layout, lane, Tree(layout.hosts(), true)}};
  const auto segment = [&](int half, std::size_t number) {
    const Part whole = share_of(lane.target.count, 2, half);
    const Part part = share_of(whole.count, static_cast<int>(segments), static_cast<int>(number));
    return Part{whole.offset + part.offset, part.count};
  };
  const auto lag = static_cast<std::size_t>(levels_of(layout.hosts()));
  Steps complete;
  for (std::size_t step = 0; step < segments + lag; ++step) {
    for (int half = 0; half < 2; ++half) {
      if (step < segments) halves[half].climb(segment(half, step));
    }
    for (int half = 0; half < 2; ++half) {
      if (step >= lag) complete.add(halves[half].descend(step - lag, segment(half, step - lag)));
    }
  }
  return complete;
}

Plan make(const CollectiveSpec& spec, const Layout& layout) {
  const std::size_t half = share_of(spec.count, layout.lanes(), 0).count / 2;
  const std::size_t segments = segments_of(half, spec.dtype);
  return all_reduce_in_lanes(
      "double_tree", spec, layout,
      [segments](PlanBuilder& plan, const Layout& where, const LaneReduction& lane) {
        return pass_through(plan, where, lane, segments);
      });
}

Demand demand(const CollectiveSpec& spec, const Placement& placement) {
  const double n = static_cast<double>(spec.count);
  const double lanes = placement.ranks_on_smallest_host();
  const auto half = static_cast<std::size_t>(n / lanes / 2);
  const auto segments = static_cast<double>(segments_of(half, spec.dtype));
  Demand demand = native_demand_of_all_reduce(spec, placement);
  demand.hops = 2 * (levels_of(placement.hosts()) - 1);
  demand.messages = 4 * segments;
  const double partial = partial_weight(spec);
  demand.piece = (partial + 1) / 2 * n / lanes / 2 / segments;
  demand.wire = (partial + 1) * n + demand.hops * demand.piece * lanes;
  demand.reduced = 2 * partial * n / lanes;
  return demand;
}

}  // namespace

const Algorithm kAllReduceDoubleTree{
    Collective::kAllReduce, "double_tree", SumOrder::kOther, suits_all, make, demand};

}  // namespace smddp
