#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <queue>
#include <vector>

#include "smddp/simulate.h"

#include "simulate/clock.h"
#include "simulate/fluid.h"
#include "simulate/resources.h"
#include "simulate/schedule.h"

namespace smddp {

/// Carries out a schedule in virtual time, as ranks do it: one thread each, which does one thing at
/// a time, of those that can be begun the first in the plan. A send is posted (half a message's
/// processor time), its bytes flow, one after the other on each connection, and a latency later the
/// receiver takes it (the other half).
class Run {
 public:
  /// What holds for every step; has to outlive the run, as the schedule has to.
  struct Rules {
    const std::vector<PlannedCall>& calls;
    const Costs& costs;
    int in_flight;
    std::vector<double> late;  ///< by actor: at the begin
    std::vector<double> wake;  ///< by actor: whenever it waited for others
  };
  Run(Schedule& schedule, Resources& resources, Fluid& fluid, Rules rules);

  /// Runs to the end; items have their times then. kState: it cannot go on.
  Status go();

 private:
  enum class Phase : std::uint8_t { kWaiting, kPosting, kFlowing, kWorking };
  struct Event {
    enum class Kind : std::uint8_t { kData, kArrival, kAwake, kMeeting } kind;
    std::uint32_t index;  ///< of the part that has its data, the send, or the item whose host met
  };
  struct Work {
    std::uint32_t item;
    std::size_t kind;
    double seconds;
    bool operator>(const Work& other) const { return item > other.item; }
  };
  /// A rank's thread.
  struct Thread {
    std::size_t messages;  ///< kinds of work
    std::size_t reduces;
    std::size_t natives;
    std::priority_queue<Work, std::vector<Work>, std::greater<>> queue{};
    bool busy = false;
  };
  struct Connection {
    std::size_t kind;
    std::size_t posted_sends = 0;
    std::size_t posted_recvs = 0;
    std::size_t arrived = 0;
    std::size_t served = 0;
    std::deque<std::uint32_t> flows{};  ///< the first is on the wire
  };

  std::size_t actor_of(const Item& item) const { return schedule_.parts[item.part].actor; }
  Thread& thread_of(const Item& item) { return threads_[actor_of(item)]; }
  double bytes(const Item& item) const;
  void handle_events();
  void start_work();
  void do_work(std::uint32_t index, std::size_t kind, double seconds);
  void release_part(std::uint32_t part);
  void release(std::uint32_t item);
  void begin(std::uint32_t item);
  void post_sends(std::uint32_t channel);
  void post_recvs(std::uint32_t channel);
  void serve(std::uint32_t channel);
  void meet(std::uint32_t item);
  void arrive(std::uint32_t send);
  void take(std::uint32_t send);
  void work_natively(std::uint32_t item);
  void start_flow(Connection& connection);
  void end_activity(std::uint32_t item);
  void end_flow(std::uint32_t item);
  void end_work(std::uint32_t item);
  void end(std::uint32_t item);
  void end_part(std::uint32_t part);

  Schedule& schedule_;
  Fluid& fluid_;
  Rules rules_;
  std::vector<Thread> threads_;          ///< by actor
  std::vector<std::size_t> waiting_;     ///< threads that may have something to begin
  std::vector<TokenBucket> buckets_;     ///< by actor
  std::vector<Connection> connections_;  ///< by channel
  std::vector<Phase> phases_;            ///< by item
  std::vector<std::uint32_t> part_waits_;
  Clock<Event> clock_;
  std::size_t remaining_;
  double now_ = 0;
};

}  // namespace smddp
