#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "smddp/simulate.h"
#include "smddp/status.h"

#include "plan/plan.h"
#include "simulate/call_plans.h"
#include "simulate/fold.h"
#include "topology/placement.h"

namespace smddp {

/// A plan, and by step those that wait for it.
struct Followed {
  Plan plan;
  std::vector<std::vector<std::uint32_t>> followers;
};

/// A step of one actor in one call.
struct Item {
  const Step* step;
  std::uint32_t part;       ///< index into Schedule::parts
  std::uint32_t waits;      ///< steps that have to end before, and the start of its part
  std::uint32_t place = 0;  ///< send, recv: index of the channel; native: of the meeting
  double begin = 0;
  double end = 0;
};

/// What one actor does in one call: the items [first, first + remaining at first).
struct PlanPart {
  std::size_t actor;  ///< index into Schedule::actors
  std::size_t call;
  std::size_t first;
  std::size_t remaining;
  const Followed* plan;
};

/// Messages of one call from an actor to a rank: the k-th send meets the k-th receive.
struct Channel {
  Fold::Way way;
  std::vector<std::uint32_t> sends{};
  std::vector<std::uint32_t> recvs{};
};

/// The actors of a host in one native step.
struct Meeting {
  std::size_t actors = 0;
  std::vector<std::uint32_t> here{};
  std::size_t ended = 0;
};

/// All that the actors have to do, and what meets what.
struct Schedule {
  std::vector<Rank> actors{};
  std::vector<Item> items{};
  std::vector<PlanPart> parts{};  ///< by call, then by actor
  std::vector<Channel> channels{};
  std::vector<Meeting> meetings{};
  std::deque<Followed> plans{};  ///< those before point into it
};

/// What each call is made of; folds have the same actors.
struct PlannedCall {
  SimulatedCall call;
  CallPlans plans;
  Fold fold;
};

/// kInvalidArgument: more steps than fit into memory, or sends and receives that do not fit.
Result<Schedule> make_schedule(const std::vector<PlannedCall>& calls, const Placement& placement);

}  // namespace smddp
