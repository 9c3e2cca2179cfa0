#include "transport/tcp/rendezvous.h"

#include <poll.h>

#include <algorithm>
#include <utility>

#include "base/rank_label.h"
#include "base/socket.h"
#include "transport/missing_ranks.h"
#include "transport/tcp/address.h"

namespace smddp {
namespace {

using std::chrono::milliseconds;

// A rank that is late answers whenever it comes, but behind a wrong address nobody ever does.
constexpr milliseconds kRoutePatience{5000};
constexpr milliseconds kLongestPause{500};
constexpr milliseconds kLongestWait{500};
// Connections that have not proved anything yet; beyond that the oldest is a stranger.
constexpr std::size_t kSpareCallers = 64;

Rank rank_of(const Meeting& meeting) { return meeting.peer; }
Rank rank_of(const RailMeeting& meeting) { return meeting.peer(); }

std::vector<GuardedFd> one_socket(GuardedFd socket) {
  std::vector<GuardedFd> sockets;
  sockets.push_back(std::move(socket));
  return sockets;
}

}  // namespace

Result<std::vector<Meeting>> Rendezvous::run(std::span<const PeerAddress> peers,
                                             Deadline deadline) {
  SMDDP_RETURN_IF_ERROR(prepare(peers));
  while (!is_complete()) {
    call_due();
    wait(deadline);
    SMDDP_RETURN_IF_ERROR(accept_callers());
    advance_outgoing();
    advance_callers();
    advance_heard();
    if (!is_complete() && deadline.passed()) return missing();
  }
  return std::move(meetings_);
}

Status Rendezvous::prepare(std::span<const PeerAddress> peers) {
  for (const PeerAddress& peer : peers) {
    const auto parsed = parse_tcp_address(peer.address);
    if (!parsed.ok()) return parsed.status();
    const TcpAddress& address = parsed.value();
    const std::size_t rails = shared_rails(place_.rails.size(), address);
    if (peer.rank > identity_.self) {
      expected_[peer.rank] = rails;
      awaited_.insert(peer.rank);
      continue;
    }
    Outgoing outgoing;
    outgoing.peer = peer.rank;
    outgoing.port = address.port;
    outgoing.routes = routes_to(address);
    if (outgoing.routes.empty()) {
      return {StatusCode::kSystem,
              "rank " + std::to_string(label_of(identity_.labels, peer.rank)) +
                  " is on another host and has no network interface with an IPv4 address"};
    }
    for (std::size_t rail = 0; rail < rails; ++rail) {
      outgoing.rails.push_back({.host = address.rails[rail].host,
                                .port = address.rails[rail].port,
                                .rail = static_cast<int>(rail),
                                .from = place_.rails[rail]});
    }
    outgoing_.push_back(std::move(outgoing));
  }
  most_callers_ = expected_.size() * (1 + place_.rails.size()) + kSpareCallers;
  return {};
}

void Rendezvous::call_due() {
  const Time now = Deadline::Clock::now();
  for (Outgoing& outgoing : outgoing_) {
    if (now < outgoing.retry_at || outgoing.rail_meeting != nullptr) continue;
    if (outgoing.greeting != nullptr) outgoing.why = "it does not answer";
    call(outgoing);
  }
}

void Rendezvous::call(Outgoing& outgoing) {
  const std::string& host = outgoing.routes[outgoing.next_route];
  outgoing.next_route = (outgoing.next_route + 1) % outgoing.routes.size();
  auto greeting = call_peer(identity_, outgoing.peer, {.host = host, .port = outgoing.port});
  if (!greeting.ok()) return hang_up(outgoing, greeting.status().message());
  outgoing.greeting = std::move(greeting).value();
  outgoing.retry_at = Deadline::Clock::now() + kRoutePatience;
}

void Rendezvous::hang_up(Outgoing& outgoing, std::string why) {
  outgoing.greeting.reset();
  outgoing.rail_meeting.reset();
  outgoing.why = std::move(why);
  outgoing.retry_at = Deadline::Clock::now() + outgoing.pause;
  outgoing.pause = std::min(2 * outgoing.pause, kLongestPause);
}

void Rendezvous::wait(Deadline deadline) {
  std::vector<pollfd> entries;
  for (const int socket : place_.listening_sockets) entries.push_back({socket, POLLIN, 0});
  Time until = Deadline::Clock::now() + kLongestWait;
  for (const Outgoing& outgoing : outgoing_) {
    until = std::min(until, outgoing.retry_at);
    if (outgoing.rail_meeting != nullptr) {
      until = std::min(until, outgoing.rail_meeting->until());
      outgoing.rail_meeting->add_events(entries);
    }
    if (outgoing.greeting == nullptr) continue;
    entries.push_back({outgoing.greeting->descriptor(), outgoing.greeting->events(), 0});
  }
  for (const auto& caller : callers_)
    entries.push_back({caller->descriptor(), caller->events(), 0});
  for (const RailMeeting& meeting : heard_) meeting.add_events(entries);
  const Deadline next = std::min(deadline, Deadline::after(until - Deadline::Clock::now()));
  ::poll(entries.data(), entries.size(), next.poll_timeout_ms(kLongestWait));
}

Status Rendezvous::accept_callers() {
  for (const int socket : place_.listening_sockets) SMDDP_RETURN_IF_ERROR(accept_from(socket));
  return {};
}

Status Rendezvous::accept_from(int listening_socket) {
  const Deadline at_once = Deadline::after(milliseconds{0});
  for (;;) {
    auto socket = accept_connection(listening_socket, at_once);
    if (!socket.ok()) {
      if (socket.status().code() == StatusCode::kTimeout) return {};
      if (callers_.empty()) return socket.status();
      callers_.pop_front();  // out of descriptors: the oldest caller is a stranger
      return {};
    }
    if (callers_.size() == most_callers_) callers_.pop_front();
    callers_.push_back(hear_caller(identity_, GuardedFd{std::move(socket).value()}));
  }
}

void Rendezvous::advance_outgoing() {
  std::erase_if(outgoing_, [this](Outgoing& outgoing) { return advance(outgoing); });
}

/// True when the peer is connected.
bool Rendezvous::advance(Outgoing& outgoing) {
  if (outgoing.greeting != nullptr) {
    const Greeting::State state = outgoing.greeting->advance();
    // From here on the other side may count us as connected, so only it ends this.
    if (outgoing.greeting->is_answered()) outgoing.retry_at = Time::max();
    if (state == Greeting::State::kFailed)
      hang_up(outgoing, outgoing.greeting->failure().message());
    if (state != Greeting::State::kDone) return false;
    const auto greeting = std::move(outgoing.greeting);
    if (outgoing.rails.empty()) {
      meetings_.push_back({outgoing.peer, one_socket(greeting->take_socket())});
      return true;
    }
    outgoing.rail_meeting = std::make_unique<RailMeeting>(identity_, outgoing.peer,
                                                          greeting->take_socket(), outgoing.rails);
  }
  if (outgoing.rail_meeting == nullptr) return false;
  const Greeting::State state = outgoing.rail_meeting->advance();
  if (state == Greeting::State::kFailed) hang_up(outgoing, "it closed the connection");
  if (state != Greeting::State::kDone) return false;
  meetings_.push_back({outgoing.peer, outgoing.rail_meeting->take_sockets()});
  return true;
}

void Rendezvous::advance_callers() {
  std::erase_if(callers_, [this](const std::unique_ptr<Greeting>& caller) {
    const Greeting::State state = caller->advance();
    if (state == Greeting::State::kDone) welcome(*caller);
    return state != Greeting::State::kPending;
  });
}

void Rendezvous::welcome(Greeting& greeting) {
  const Rank peer = greeting.peer();
  const auto expected = expected_.find(peer);
  if (expected == expected_.end()) return;
  const auto from_peer = [&](const auto& known) { return rank_of(known) == peer; };
  if (greeting.rail() != Route::kNoRail) {
    const auto meeting = std::find_if(heard_.begin(), heard_.end(), from_peer);
    if (meeting != heard_.end()) meeting->admit(greeting.rail(), greeting.take_socket());
    return;
  }
  // Who calls again has given up its earlier connection.
  heard_.remove_if(from_peer);
  std::erase_if(meetings_, from_peer);
  if (expected->second > 0) {
    heard_.emplace_back(peer, greeting.take_socket(), expected->second);
    awaited_.insert(peer);
    return;
  }
  awaited_.erase(peer);
  meetings_.push_back({peer, one_socket(greeting.take_socket())});
}

void Rendezvous::advance_heard() {
  heard_.remove_if([this](RailMeeting& meeting) {
    const Greeting::State state = meeting.advance();
    if (state == Greeting::State::kDone) {
      awaited_.erase(meeting.peer());
      meetings_.push_back({meeting.peer(), meeting.take_sockets()});
    }
    return state != Greeting::State::kPending;
  });
}

Status Rendezvous::missing() const {
  std::vector<MissingRank> missing;
  for (const Outgoing& outgoing : outgoing_) missing.push_back({outgoing.peer, outgoing.why});
  for (const Rank rank : awaited_) missing.push_back({rank, "it has not connected"});
  std::sort(missing.begin(), missing.end(),
            [](const auto& a, const auto& b) { return a.rank < b.rank; });
  return missing_ranks_status(identity_.labels, missing);
}

}  // namespace smddp
