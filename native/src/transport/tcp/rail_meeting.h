#pragma once

#include <poll.h>

#include <cstddef>
#include <memory>
#include <vector>

#include "smddp/deadline.h"
#include "smddp/types.h"

#include "base/guarded_fd.h"
#include "transport/tcp/greeting.h"

namespace smddp {

/// Two ranks that are connected find out over which rails they can talk. The rank that calls tries
/// them all at once, and then says over the first connection which of them answered; from then on
/// both use these, or the first connection if there are not several.
class RailMeeting {
 public:
  using Time = Deadline::Clock::time_point;

  /// The side that calls: `routes` by rail.
  RailMeeting(const Identity& identity, Rank peer, GuardedFd first,
              const std::vector<Route>& routes);
  /// The side that hears; so many rails are shared.
  RailMeeting(Rank peer, GuardedFd first, std::size_t rails);

  Rank peer() const noexcept { return peer_; }
  /// A rail on which the peer called.
  void admit(int rail, GuardedFd socket);

  /// To be called when one of `add_events` is there, and at `until`.
  Greeting::State advance();
  void add_events(std::vector<pollfd>& entries) const;
  Time until() const noexcept { return until_; }
  /// Once done: one socket, or several by rail, of which some may be missing.
  std::vector<GuardedFd> take_sockets();

 private:
  Greeting::State call();
  Greeting::State hear();

  Rank peer_;
  GuardedFd first_;
  std::vector<GuardedFd> rails_;
  std::vector<std::unique_ptr<Greeting>> calls_;
  bool calls_out_;
  Time until_ = Time::max();
};

}  // namespace smddp
