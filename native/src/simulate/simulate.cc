#include "smddp/simulate.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plan/planner.h"
#include "plan/traits.h"
#include "simulate/call_plans.h"
#include "simulate/fluid.h"
#include "simulate/fold.h"
#include "simulate/resources.h"
#include "simulate/run.h"
#include "simulate/schedule.h"
#include "simulate/step_costs.h"
#include "topology/placement.h"

namespace smddp {
namespace {

Status wrong(const std::string& message) { return {StatusCode::kInvalidArgument, message}; }

bool is_amount(double value) { return std::isfinite(value) && value >= 0; }

Status check_costs(const Costs& costs) {
  for (const double value :
       {costs.hop, costs.message, costs.reduce, costs.native_step, costs.native}) {
    if (!is_amount(value)) return wrong("costs: " + std::to_string(value) + " is no time");
  }
  if (costs.link.empty()) return wrong("costs: the link has no rate");
  for (const LinkRate& rate : costs.link) {
    if (!is_amount(rate.seconds_per_byte) || rate.seconds_per_byte == 0)
      return wrong("costs: a byte on a link takes more than nothing, and ends");
  }
  return {};
}

Status check_machine(const SimulatedMachine& machine) {
  if (!(machine.efficiency > 0 && machine.efficiency <= 1))
    return wrong("efficiency: must be above 0 and at most 1");
  for (const double value : {machine.send_byte, machine.receive_byte, machine.processors,
                             machine.wake, machine.incast, machine.burst, machine.start_skew}) {
    if (!is_amount(value)) return wrong("machine: " + std::to_string(value) + " is no amount");
  }
  return {};
}

/// Whether hosts can stand for each other, as far as they go.
bool are_even(const Topology& topology, const Placement& placement,
              const SimulatedMachine& machine) {
  const auto is_like_first = [&](const HostTopology& host) { return host == topology.hosts[0]; };
  if (!std::all_of(topology.hosts.begin(), topology.hosts.end(), is_like_first)) return false;
  const int ranks = placement.ranks_on_smallest_host();
  if (ranks * placement.hosts() != placement.world()) return false;
  const auto rails = static_cast<int>(std::max<std::size_t>(topology.hosts[0].rails.size(), 1));
  const bool all_rails_speed =
      std::all_of(topology.hosts[0].rails.begin(), topology.hosts[0].rails.end(),
                  [&](const Rail& rail) { return rail.gbps == topology.hosts[0].rails[0].gbps; });
  return !machine.own_rails || (all_rails_speed && (ranks % rails == 0 || rails % ranks == 0));
}

class Simulator {
 public:
  Simulator(const Topology& topology, const PlanSettings& settings, const SimulatedMachine& machine,
            const SimulationOptions& options)
      : topology_(topology),
        settings_(settings),
        machine_(machine),
        options_(options),
        placement_(topology.host_of_rank) {}

  Result<Simulation> run(const std::vector<SimulatedCall>& calls) const {
    Result<std::vector<PlannedCall>> planned = plan(calls);
    if (!planned.ok()) return planned.status();
    Result<Schedule> schedule = make_schedule(planned.value(), placement_);
    if (!schedule.ok()) return schedule.status();
    Fluid fluid;
    Resources resources({.topology = topology_,
                         .placement = placement_,
                         .costs = settings_.costs,
                         .machine = machine_,
                         .fold = planned.value().front().fold},
                        fluid);
    Run run(schedule.value(), resources, fluid,
            {.calls = planned.value(),
             .costs = settings_.costs,
             .in_flight = options_.in_flight,
             .late = late(schedule.value().actors),
             .wake = wake(schedule.value().actors)});
    SMDDP_RETURN_IF_ERROR(run.go());
    return result(schedule.value(), planned.value());
  }

 private:
  Result<std::vector<PlannedCall>> plan(const std::vector<SimulatedCall>& calls) const {
    Result<Policy> policy =
        parse_policy({.order = settings_.order, .partials = settings_.partials});
    if (!policy.ok()) return policy.status();
    policy.value().costs = settings_.costs;
    std::vector<PlannedCall> planned;
    std::vector<Symmetry> symmetries;
    for (const SimulatedCall& call : calls) {
      if (!is_amount(call.ready)) return wrong("ready: must be a time from 0 on");
      Result<CallPlans> plans =
          CallPlans::make(call.call, call.algorithm, placement_, policy.value());
      if (!plans.ok()) return plans.status();
      const auto same = std::find_if(planned.begin(), planned.end(), [&](const auto& other) {
        return other.call.call == call.call && other.call.algorithm == call.algorithm;
      });
      const auto like = static_cast<std::size_t>(same - planned.begin());
      symmetries.push_back(same == planned.end() ? symmetry(plans.value()) : symmetries[like]);
      planned.push_back({call, std::move(plans).value(), Fold(placement_, symmetries.back())});
    }
    const Symmetry least = *std::min_element(symmetries.begin(), symmetries.end());
    for (PlannedCall& call : planned) {
      if (!has_one_actor(least)) call.fold = Fold(placement_, least);
    }
    return planned;
  }

  Symmetry symmetry(const CallPlans& plans) const {
    const bool may_fold = options_.fold && machine_.start_skew == 0 &&
                          !is_rooted(plans.call().collective) &&
                          are_even(topology_, placement_, machine_);
    return may_fold ? symmetry_of(plans, placement_) : Symmetry::kNone;
  }

  std::vector<double> late(const std::vector<Rank>& actors) const {
    std::mt19937 random(machine_.seed);
    std::uniform_real_distribution<double> skew(0, machine_.start_skew);
    std::vector<double> late(actors.size(), 0);
    for (double& seconds : late) seconds = machine_.start_skew > 0 ? skew(random) : 0;
    return late;
  }

  std::vector<double> wake(const std::vector<Rank>& actors) const {
    std::vector<double> wake;
    for (const Rank actor : actors) {
      const std::size_t sharing = machine_.one_machine
                                      ? topology_.host_of_rank.size()
                                      : placement_.ranks_on(placement_.host_of(actor)).size();
      const double crowd =
          machine_.processors > 0 ? static_cast<double>(sharing) / machine_.processors : 1;
      wake.push_back(machine_.wake * std::max(0.0, crowd - 1));
    }
    return wake;
  }

  Simulation result(const Schedule& schedule, const std::vector<PlannedCall>& calls) const {
    Simulation simulation;
    simulation.ranks = schedule.actors;
    std::vector<double> sent(schedule.actors.size(), 0);
    for (const PlannedCall& call : calls) simulation.ends.push_back(call.call.ready);
    for (const Item& item : schedule.items) {
      const PlanPart& part = schedule.parts[item.part];
      const double bytes =
          bytes_of(*item.step, {calls[part.call].call.call.dtype, part.plan->plan.partials});
      simulation.ends[part.call] = std::max(simulation.ends[part.call], item.end);
      if (item.step->kind == StepKind::kSend) {
        ++simulation.messages;
        sent[part.actor] += bytes;
      }
      if (!options_.timeline) continue;
      simulation.steps.push_back({.rank = schedule.actors[part.actor],
                                  .call = part.call,
                                  .kind = std::string{name_of(item.step->kind)},
                                  .peer = item.step->peer,
                                  .bytes = bytes,
                                  .begin = item.begin,
                                  .end = item.end});
    }
    simulation.seconds = *std::max_element(simulation.ends.begin(), simulation.ends.end());
    simulation.sent_bytes = *std::max_element(sent.begin(), sent.end());
    return simulation;
  }

  static std::string_view name_of(StepKind kind) {
    constexpr std::string_view kNames[] = {"send", "recv", "reduce", "copy", "native"};
    return kNames[static_cast<std::size_t>(kind)];
  }

  const Topology& topology_;
  const PlanSettings& settings_;
  const SimulatedMachine& machine_;
  const SimulationOptions& options_;
  Placement placement_;
};

}  // namespace

Result<Simulation> simulate(const std::vector<SimulatedCall>& calls, const Topology& topology,
                            const PlanSettings& settings, const SimulatedMachine& machine,
                            const SimulationOptions& options) {
  SMDDP_RETURN_IF_ERROR(check_costs(settings.costs));
  SMDDP_RETURN_IF_ERROR(check_machine(machine));
  if (calls.empty()) return wrong("there is nothing to simulate");
  if (options.in_flight < 1) return wrong("in_flight: at least one call is on the way");
  return Simulator(topology, settings, machine, options).run(calls);
}

}  // namespace smddp
