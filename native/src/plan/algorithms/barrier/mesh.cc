// Barrier over N hosts.
//
//   native barrier --> local rank 0: an empty message each way with every other host
//                  --> native barrier
//
// Steps: 1 hop, 2 native steps. Bytes: none (empty messages carry the signature).
// Source: textbook barrier by all-to-all notification, among hosts; one hop where dissemination
// takes log2 N, like the rest of the direct schedule.
#include <utility>

#include "plan/algorithms/list.h"
#include "plan/algorithms/suits.h"
#include "plan/builder.h"

namespace smddp {
namespace {

Plan make(const CollectiveSpec&, const Layout& layout) {
  PlanBuilder plan("mesh");
  NativeStep meet;
  meet.collective = Collective::kBarrier;
  Steps host_entered;
  if (!layout.alone()) host_entered.add(plan.native(meet));
  Steps all_entered = host_entered;
  if (layout.local() == 0) {
    for (const int host : layout.send_order()) plan.send(layout.rank_at(host, 0), {}, host_entered);
    for (const int host : layout.recv_order())
      all_entered.add(plan.recv(layout.rank_at(host, 0), {}));
  }
  if (!layout.alone()) plan.native(meet, all_entered);
  return std::move(plan).finish();
}

Demand demand(const CollectiveSpec&, const Placement& placement) {
  const bool has_neighbours = placement.hosts() < placement.world();
  return {.hops = 1,
          .messages = static_cast<double>(placement.hosts() - 1),
          .native_steps = has_neighbours ? 2.0 : 0.0};
}

}  // namespace

const Algorithm kBarrierMesh{
    Collective::kBarrier, "mesh", SumOrder::kAtOnce, suits_all, make, demand};

}  // namespace smddp
