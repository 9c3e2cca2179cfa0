#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "smddp/costs.h"
#include "smddp/export.h"
#include "smddp/status.h"
#include "smddp/topology.h"
#include "smddp/types.h"

namespace smddp {

// Plans without a network: which algorithms a collective has between the hosts of a topology, and
// how long their steps take in virtual time. Nothing here is measured (docs/simulator.md).

/// A collective as all ranks call it. `count` is the elements of the whole vector; collectives of
/// blocks cut it into one share for each rank (all_to_all: each rank's own vector).
struct CollectiveCall {
  Collective collective = Collective::kAllReduce;
  DType dtype = DType::kFloat32;
  ReduceOp op = ReduceOp::kSum;
  std::size_t count = 0;
  Rank root = 0;

  friend bool operator==(const CollectiveCall&, const CollectiveCall&) = default;
};

/// One algorithm, as the planner sees it.
struct PlanOption {
  std::string algorithm{};
  double seconds = 0;      ///< predicted by the cost model; 0 inside one host
  Demand demand{};         ///< what that is the price of
  std::string excluded{};  ///< why it may not be used; empty: it may
};

/// What all ranks agree on besides the topology: the costs, SMDDP_ORDER and SMDDP_PARTIALS.
struct PlanSettings {
  Costs costs{};
  std::string order = "canonical";
  std::string partials = "native";
};

/// All algorithms of the collective: those that may be used first, the planner's choice before all.
SMDDP_API Result<std::vector<PlanOption>> plan_options(const CollectiveCall& call,
                                                       const Topology& topology,
                                                       const PlanSettings& settings);

/// What steps take and what they share, besides PlanSettings::costs. A hop's processor time,
/// Costs::message, is half the sender's and half the receiver's.
struct SimulatedMachine {
  double efficiency = 1;  ///< the part of a rail's speed that payload gets
  double burst = 0;       ///< bytes that a rail lets pass at once after a pause, as tbf does
  /// Local rank j uses the rails whose share of the host is its own; else each message goes over
  /// all of them, as with transport tcp.
  bool own_rails = false;
  double send_byte = 0;      ///< seconds a processor is busy with a byte sent
  double receive_byte = 0;   ///< and with one received
  double processors = 0;     ///< of each host; 0: one for each rank
  bool one_machine = false;  ///< `processors` are those of all hosts together, as in a laboratory
  /// Where n times as many ranks share processors, one that waits runs wake * (n - 1) seconds late.
  double wake = 0;
  double incast = 0;      ///< a rail that n flows enter is 1 + incast * (n - 1) times slower
  double start_skew = 0;  ///< ranks start up to so many seconds late, at random from `seed`
  unsigned seed = 0;
};

struct SimulatedCall {
  CollectiveCall call{};
  std::string algorithm{};  ///< empty: the planner's choice
  double ready = 0;         ///< when ranks have its data
};

struct SimulationOptions {
  int in_flight = 1;      ///< calls that a rank has on the way at once
  bool fold = true;       ///< ranks that do the same at the same time are simulated once
  bool timeline = false;  ///< list every step
};

struct SimulatedStep {
  Rank rank = 0;
  std::size_t call = 0;
  std::string kind{};  ///< send, recv, reduce, copy, native
  Rank peer = -1;      ///< of messages
  double bytes = 0;    ///< sent, received or read; native: of one rank
  double begin = 0;    ///< send, recv: posted
  double end = 0;
};

struct Simulation {
  double seconds = 0;                  ///< until the last rank has ended the last call
  std::vector<double> ends{};          ///< of each call, on the last rank
  std::vector<Rank> ranks{};           ///< those simulated; each stands for equally many
  std::size_t messages = 0;            ///< of the ranks simulated
  double sent_bytes = 0;               ///< by the busiest of them
  std::vector<SimulatedStep> steps{};  ///< by rank and call, if asked for
};

/// Runs the plans of `calls` one after the other in virtual time. kInvalidArgument: what cannot be,
/// or more steps than fit into memory.
SMDDP_API Result<Simulation> simulate(const std::vector<SimulatedCall>& calls,
                                      const Topology& topology, const PlanSettings& settings,
                                      const SimulatedMachine& machine,
                                      const SimulationOptions& options);

}  // namespace smddp
