#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "smddp/deadline.h"
#include "smddp/status.h"

#include "base/guarded_fd.h"
#include "transport/tcp/greeting.h"
#include "transport/tcp/rail_meeting.h"
#include "transport/transport.h"

namespace smddp {

/// Authenticated connections to a peer: one, or several by rail, of which some may be missing.
struct Meeting {
  Rank peer = -1;
  std::vector<GuardedFd> sockets;
};

/// Connects this rank to all its peers: it calls the ranks below its own and hears those above, at
/// the same time and in one thread, so the order in which ranks arrive does not matter. Strangers
/// are dropped, and cannot delay anybody: no step waits for one particular connection.
class Rendezvous {
 public:
  /// Where this rank can be reached.
  struct Place {
    std::vector<int> listening_sockets;  ///< borrowed
    std::vector<Interface> rails;        ///< none where there are not several
  };
  Rendezvous(const Identity& identity, Place place)
      : identity_(identity), place_(std::move(place)) {}

  /// kTimeout names all ranks that are missing.
  Result<std::vector<Meeting>> run(std::span<const PeerAddress> peers, Deadline deadline);

 private:
  using Time = Deadline::Clock::time_point;

  /// A peer that this rank has to call.
  struct Outgoing {
    Rank peer = -1;
    std::uint16_t port = 0;
    std::vector<std::string> routes;
    std::vector<Route> rails;
    std::size_t next_route = 0;
    std::string why;  ///< the last attempt failed
    std::unique_ptr<Greeting> greeting;
    std::unique_ptr<RailMeeting> rail_meeting;  ///< after the greeting
    /// When to call again: after a pause, or because a route that does not answer may be a wrong
    /// one.
    Time retry_at{};
    std::chrono::milliseconds pause{10};
  };

  Status prepare(std::span<const PeerAddress> peers);
  bool is_complete() const { return outgoing_.empty() && awaited_.empty(); }
  void call_due();
  void call(Outgoing& outgoing);
  void hang_up(Outgoing& outgoing, std::string why);
  void wait(Deadline deadline);
  Status accept_callers();
  Status accept_from(int listening_socket);
  void advance_outgoing();
  bool advance(Outgoing& outgoing);
  void advance_callers();
  void advance_heard();
  void welcome(Greeting& greeting);
  Status missing() const;

  Identity identity_;
  Place place_;
  std::vector<Outgoing> outgoing_;
  std::list<std::unique_ptr<Greeting>> callers_;  ///< oldest first
  std::size_t most_callers_ = 0;
  std::list<RailMeeting> heard_;          ///< ranks that have called and now try the rails
  std::map<Rank, std::size_t> expected_;  ///< ranks that call us, and how many rails they may try
  std::set<Rank> awaited_;                ///< those that have not come yet
  std::vector<Meeting> meetings_;
};

}  // namespace smddp
