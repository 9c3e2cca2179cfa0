// All ranks on one host: the whole collective is one native step.
//
//   r0 --+            +-> r0
//   r1 --+-> memory --+-> r1
//   r2 --+            +-> r2
//
// Steps: 1 native. Bytes between hosts: 0.
// Order: the native step adds in the canonical tree over local ranks, here the ranks themselves.
// Source: the intra-node half of Herring (SC20).
#include <utility>

#include "plan/algorithms/one_host.h"
#include "plan/builder.h"
#include "plan/partition.h"
#include "plan/traits.h"

namespace smddp {
namespace {

void set_blocks(NativeStep& step, const CollectiveSpec& spec, Rank self) {
  const std::vector<Part> blocks = blocks_of(spec.counts);
  const std::size_t all = total_of(blocks);
  const std::size_t own = blocks[static_cast<std::size_t>(self)].count;
  // Of rooted collectives only the root has the whole.
  const bool has_whole = !is_rooted(spec.collective) || self == spec.root;
  if (spec.collective == Collective::kReduceScatter || spec.collective == Collective::kScatter) {
    if (has_whole) step.in = {Space::kIn, 0, all};
    step.in_parts = blocks;
    step.out = {Space::kOut, 0, own};
  } else {
    step.in = {Space::kIn, 0, own};
    if (has_whole) step.out = {Space::kOut, 0, all};
    step.out_parts = blocks;
  }
}

void set_exchange(NativeStep& step, const CollectiveSpec& spec) {
  step.in_parts = blocks_of(spec.send_counts);
  step.out_parts = blocks_of(spec.counts);
  step.in = {Space::kIn, 0, total_of(step.in_parts)};
  step.out = {Space::kOut, 0, total_of(step.out_parts)};
}

}  // namespace

Plan native_plan(const CollectiveSpec& spec, int world, Rank self) {
  NativeStep step;
  step.collective = spec.collective;
  step.reduction = reduction_of(spec, world);
  const Range in{Space::kIn, 0, spec.count};
  const Range out{Space::kOut, 0, spec.count};
  switch (spec.collective) {
    case Collective::kAllReduce:
      step.in = in;
      step.out = out;
      break;
    case Collective::kReduce:  // only the root has an `out`
      step.in = in;
      if (self == spec.root) step.out = out;
      break;
    case Collective::kBroadcast:  // only the root has an `in`
      if (self == spec.root) step.in = in;
      step.out = out;
      break;
    case Collective::kReduceScatter:
    case Collective::kAllGather:
    case Collective::kGather:
    case Collective::kScatter:
      set_blocks(step, spec, self);
      break;
    case Collective::kAllToAll:
      set_exchange(step, spec);
      break;
    case Collective::kBarrier:
      break;
  }
  if (is_rooted(spec.collective)) step.root = spec.root;
  PlanBuilder plan("native");
  plan.native(std::move(step));
  return std::move(plan).finish();
}

}  // namespace smddp
