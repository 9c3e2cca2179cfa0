// Dissemination barrier over N hosts.
//
//   native barrier --> local rank 0, for d = 1, 2, 4 ... below N: an empty message to host h + d,
//                      one from host h - d --> native barrier
//
// Steps: ceil(log2 N) hops and messages, 2 native steps. Bytes: none. From four hosts on: with
// fewer, everybody hears everybody directly anyway.
// Source: Hensgen, Finkel and Manber, "Two algorithms for barrier synchronization" (1988).
#include <bit>
#include <utility>

#include "plan/algorithms/list.h"
#include "plan/algorithms/suits.h"
#include "plan/builder.h"

namespace smddp {
namespace {

Plan make(const CollectiveSpec&, const Layout& layout) {
  PlanBuilder plan("dissemination");
  NativeStep meet;
  meet.collective = Collective::kBarrier;
  Steps entered;
  if (!layout.alone()) entered.add(plan.native(meet));
  if (layout.local() == 0) {
    const int hosts = layout.hosts();
    for (int distance = 1; distance < hosts; distance *= 2) {
      plan.send(layout.rank_at((layout.host() + distance) % hosts, 0), {}, entered);
      const int from = (layout.host() - distance + hosts) % hosts;
      entered.add(plan.recv(layout.rank_at(from, 0), {}));
    }
  }
  if (!layout.alone()) plan.native(meet, entered);
  return std::move(plan).finish();
}

Demand demand(const CollectiveSpec&, const Placement& placement) {
  const double rounds = std::bit_width(static_cast<unsigned>(placement.hosts() - 1));
  const bool has_neighbours = placement.hosts() < placement.world();
  return {.hops = rounds, .messages = rounds, .native_steps = has_neighbours ? 2.0 : 0.0};
}

}  // namespace

const Algorithm kBarrierDissemination{
    Collective::kBarrier, "dissemination", SumOrder::kAtOnce, suits_four_hosts, make, demand};

}  // namespace smddp
