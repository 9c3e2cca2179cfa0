#include "plan/algorithms/layout.h"

#include <utility>

namespace smddp {

Layout::Layout(const Placement& placement, Rank self)
    : placement_(placement),
      self_(self),
      host_(placement.host_of(self)),
      local_(placement.local_rank(self)),
      lanes_(placement.ranks_on_smallest_host()) {}

int Layout::ranks_on(int host) const { return static_cast<int>(placement_.ranks_on(host).size()); }

Rank Layout::rank_at(int host, int local) const {
  return placement_.ranks_on(host)[static_cast<std::size_t>(local)];
}

std::vector<int> Layout::send_order() const {
  std::vector<int> order;
  for (int distance = 1; distance < hosts(); ++distance)
    order.push_back((host_ + distance) % hosts());
  return order;
}

std::vector<int> Layout::recv_order() const {
  const std::vector<int> order = send_order();
  return {order.rbegin(), order.rend()};
}

std::vector<Round> Layout::rounds() const {
  const std::vector<int> to = send_order();
  const std::vector<int> from = recv_order();
  std::vector<Round> rounds;
  for (std::size_t i = 0; i < to.size(); ++i) rounds.push_back({to[i], from[i]});
  return rounds;
}

Steps before_overwriting(const Range& read, const Steps& readers) {
  return read.space == Space::kIn ? readers : Steps{};
}

std::vector<Part> lane_parts(const Layout& layout, std::size_t count) {
  std::vector<Part> parts(static_cast<std::size_t>(layout.ranks_here()));
  for (int lane = 0; lane < layout.lanes(); ++lane) {
    parts[static_cast<std::size_t>(lane)] = share_of(count, layout.lanes(), lane);
  }
  return parts;
}

Range lane_of(const Layout& layout, const Range& vector) {
  return slice(vector, lane_parts(layout, vector.count)[static_cast<std::size_t>(layout.local())]);
}

Ready as_partial(PlanBuilder& plan, const Ready& contribution) {
  const Range& range = contribution.range;
  if (range.space == Space::kPartials || !plan.widens()) return contribution;
  const Range wide = plan.partials(range.count);
  return {wide, {plan.copy(range, wide, contribution.ready)}};
}

Ready as_share(PlanBuilder& plan, const Layout& layout, const Ready& contribution) {
  return layout.all_alone() ? contribution : as_partial(plan, contribution);
}

Ready reduce_into_lanes(PlanBuilder& plan, const Layout& layout, const Range& vector, ReduceOp op) {
  if (layout.alone()) return as_share(plan, layout, {vector, {}});
  NativeStep step;
  step.collective = Collective::kReduceScatter;
  step.in = vector;
  step.in_parts = lane_parts(layout, vector.count);
  step.out = plan.partials(lane_of(layout, vector).count);
  step.reduction = {op, 1};
  const Range out = step.out;
  return {out, {plan.native(std::move(step))}};
}

double partial_weight(const CollectiveSpec& spec) {
  return static_cast<double>(size_of(partials_of(spec))) / static_cast<double>(size_of(spec.dtype));
}

double share_weight(const CollectiveSpec& spec, const Placement& placement) {
  return placement.hosts() == placement.world() ? 1 : partial_weight(spec);
}

void spread_lanes(PlanBuilder& plan, const Layout& layout, const Range& vector,
                  const Steps& after) {
  if (layout.alone()) return;
  NativeStep step;
  step.collective = Collective::kAllGather;
  step.out = vector;
  step.out_parts = lane_parts(layout, vector.count);
  step.in = lane_of(layout, vector);
  plan.native(std::move(step), after);
}

void greet_hosts(PlanBuilder& plan, const Layout& layout) {
  if (layout.local() != 0) return;
  for (const int host : layout.send_order()) plan.send(layout.rank_at(host, 0), {});
  for (const int host : layout.recv_order()) plan.recv(layout.rank_at(host, 0), {});
}

void meet_neighbours(PlanBuilder& plan, const Layout& layout) {
  if (layout.alone()) return;
  NativeStep meet;
  meet.collective = Collective::kBarrier;
  plan.native(std::move(meet));
}

std::vector<Rank> ranks_elsewhere(const Layout& layout) {
  std::vector<Rank> ranks;
  for (const int host : layout.send_order()) {
    for (int local = 0; local < layout.ranks_on(host); ++local)
      ranks.push_back(layout.rank_at(host, local));
  }
  return ranks;
}

std::vector<Part> blocks_of_neighbours(const Layout& layout, const std::vector<Part>& blocks) {
  std::vector<Part> parts;
  for (const Rank rank : layout.neighbours())
    parts.push_back(blocks[static_cast<std::size_t>(rank)]);
  return parts;
}

int turns_for(const Layout& layout, int ranks) {
  return (ranks + layout.ranks_here() - 1) / layout.ranks_here();
}

}  // namespace smddp
