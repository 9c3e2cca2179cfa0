// World of one: the result is the input.
//
//   in --> out          (nothing to do when they are the same memory)
//
// Steps: 1 copy, no message. No division: the average over one rank is its input.
#include <numeric>

#include "plan/algorithms/one_host.h"
#include "plan/builder.h"

namespace smddp {

Plan copy_plan(const CollectiveSpec& spec) {
  PlanBuilder plan("copy");
  std::size_t count = spec.count;
  switch (spec.collective) {
    case Collective::kAllGather:
    case Collective::kReduceScatter:
    case Collective::kAllToAll:
    case Collective::kGather:
    case Collective::kScatter:
      count = std::accumulate(spec.counts.begin(), spec.counts.end(), std::size_t{0});
      break;
    case Collective::kBarrier:
      return std::move(plan).finish();
    default:
      break;
  }
  plan.copy({Space::kIn, 0, count}, {Space::kOut, 0, count});
  return std::move(plan).finish();
}

}  // namespace smddp
