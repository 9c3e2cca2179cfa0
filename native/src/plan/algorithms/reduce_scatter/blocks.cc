#include "plan/algorithms/reduce_scatter/blocks.h"

#include <utility>

namespace smddp {

Ready reduce_blocks(PlanBuilder& plan, const Layout& layout, const CollectiveSpec& spec, int host,
                    int turn) {
  const std::vector<Part> blocks = blocks_of(spec.counts);
  NativeStep step;
  step.collective = Collective::kReduceScatter;
  step.reduction = {reduction_of(spec, layout.world()).op, 1};
  step.in = {Space::kIn, 0, total_of(blocks)};
  step.in_parts.resize(static_cast<std::size_t>(layout.ranks_here()));
  for (int j = 0; j < layout.ranks_here(); ++j) {
    const int owner = turn * layout.ranks_here() + j;
    if (owner >= layout.ranks_on(host)) break;
    step.in_parts[static_cast<std::size_t>(j)] =
        blocks[static_cast<std::size_t>(layout.rank_at(host, owner))];
  }
  const Part own = step.in_parts[static_cast<std::size_t>(layout.local())];
  if (layout.alone()) return as_share(plan, layout, {slice(step.in, own), {}});
  step.out = plan.partials(own.count);
  const Range out = step.out;
  return {out, {plan.native(std::move(step))}};
}

Demand native_demand_of_reduce_scatter(const CollectiveSpec& spec, const Placement& placement) {
  if (placement.hosts() == placement.world()) return {};
  return {.native_steps = static_cast<double>(placement.hosts()),
          .native = static_cast<double>(total_of(blocks_of(spec.counts)))};
}

}  // namespace smddp
