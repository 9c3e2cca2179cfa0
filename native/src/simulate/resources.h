#pragma once

#include <cstddef>
#include <map>
#include <vector>

#include "smddp/simulate.h"

#include "simulate/fluid.h"
#include "simulate/fold.h"
#include "simulate/token_bucket.h"
#include "topology/placement.h"

namespace smddp {

/// What hosts have, as resources of a Fluid, and what messages and the work of ranks use of it. An
/// actor gets its part of what it shares with ranks that it stands for.
class Resources {
 public:
  /// All of them have to outlive this.
  struct Parts {
    const Topology& topology;
    const Placement& placement;
    const Costs& costs;
    const SimulatedMachine& machine;
    const Fold& fold;
  };
  Resources(const Parts& parts, Fluid& fluid);

  /// The kind of messages that go this way; in bytes.
  std::size_t message_kind(const Fold::Way& way);
  /// What the rails of an actor let pass at once.
  TokenBucket bucket_of(Rank actor) const;
  /// Of an actor's work; in seconds. `memory_rate`: bytes of memory that a second of it moves.
  std::size_t add_work_kind(Rank actor, double memory_rate);

 private:
  struct Rail {
    double rate;  ///< bytes per second
    std::size_t out;
    std::size_t in;
  };
  /// Rails [first, first + count) of a host.
  struct Span {
    std::size_t first;
    std::size_t count;
  };
  struct Host {
    std::vector<Rail> rails{};
    std::size_t processors = 0;
    std::size_t memory = kNone;
  };
  static constexpr std::size_t kNone = ~std::size_t{0};

  void add_host(int host);
  void add_rails(int host);
  Span rails_of(Rank rank) const;
  double part_of_rail(int host, std::size_t rail) const;
  double part_of_host(int host) const;
  bool is_actor(Rank rank) const { return parts_.fold.actor_of(rank) == rank; }
  void add_processor_use(std::vector<Use>& uses, Rank actor, double amount) const;
  double add_rail_use(std::vector<Use>& uses, Rank rank, std::size_t Rail::* direction) const;
  const Host& host_of(Rank rank) const;

  Parts parts_;
  Fluid& fluid_;
  std::vector<Host> hosts_;
  std::vector<std::size_t> threads_;           ///< by rank; of actors
  std::map<Fold::Way, std::size_t> messages_;  ///< kinds, by both ends' actors
};

}  // namespace smddp
