#include "plan/algorithms/all_gather/blocks.h"

#include <algorithm>
#include <string>
#include <utility>

namespace smddp {

void spread_blocks(PlanBuilder& plan, const Layout& layout, const std::vector<Part>& blocks,
                   int host, int turn, const Ready& own) {
  if (layout.alone()) return;
  NativeStep step;
  step.collective = Collective::kAllGather;
  step.in = own.range;
  step.out = {Space::kOut, 0, total_of(blocks)};
  step.out_parts.resize(static_cast<std::size_t>(layout.ranks_here()));
  for (int j = 0; j < layout.ranks_here(); ++j) {
    const int source = turn * layout.ranks_here() + j;
    if (source >= layout.ranks_on(host)) break;
    step.out_parts[static_cast<std::size_t>(j)] =
        blocks[static_cast<std::size_t>(layout.rank_at(host, source))];
  }
  plan.native(std::move(step), own.ready);
}

Plan all_gather_in_lanes(std::string_view name, const CollectiveSpec& spec, const Layout& layout,
                         const GatherLane& gather_lane) {
  PlanBuilder plan{std::string{name}};
  const std::vector<Part> blocks = blocks_of(spec.counts);
  std::vector<Part> by_host;
  for (int host = 0; host < layout.hosts(); ++host)
    by_host.push_back(blocks[static_cast<std::size_t>(layout.peer_on(host))]);
  const Part own = by_host[static_cast<std::size_t>(layout.host())];
  const Range in{Space::kIn, 0, own.count};
  if (layout.alone()) plan.copy(in, range_of(Space::kOut, own));
  const std::vector<Ready> gathered = gather_lane(plan, layout, by_host, in);
  spread_blocks(plan, layout, blocks, layout.host(), 0, {in, {}});
  for (const int host : layout.recv_order())
    spread_blocks(plan, layout, blocks, host, 0, gathered[static_cast<std::size_t>(host)]);
  return std::move(plan).finish();
}

Demand native_demand_of_all_gather(const CollectiveSpec& spec, const Placement& placement) {
  if (placement.hosts() == placement.world()) return {};
  return {.native_steps = static_cast<double>(placement.hosts()),
          .native = static_cast<double>(total_of(blocks_of(spec.counts)))};
}

double largest_block(const CollectiveSpec& spec) {
  return static_cast<double>(*std::max_element(spec.counts.begin(), spec.counts.end()));
}

}  // namespace smddp
