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
    if (!is_complete() && deadline.passed()) return missing();
  }
  return std::move(meetings_);
}

Status Rendezvous::prepare(std::span<const PeerAddress> peers) {
  for (const PeerAddress& peer : peers) {
    if (peer.rank > identity_.self) {
      expected_.insert(peer.rank);
      continue;
    }
    const auto address = parse_tcp_address(peer.address);
    if (!address.ok()) return address.status();
    Outgoing outgoing;
    outgoing.peer = peer.rank;
    outgoing.port = address.value().port;
    outgoing.routes = routes_to(address.value());
    if (outgoing.routes.empty()) {
      return {StatusCode::kSystem,
              "rank " + std::to_string(label_of(identity_.labels, peer.rank)) +
                  " is on another host and has no network interface with an IPv4 address"};
    }
    outgoing_.push_back(std::move(outgoing));
  }
  awaited_ = expected_;
  most_callers_ = expected_.size() + kSpareCallers;
  return {};
}

void Rendezvous::call_due() {
  const Time now = Deadline::Clock::now();
  for (Outgoing& outgoing : outgoing_) {
    if (now < outgoing.retry_at) continue;
    if (outgoing.greeting != nullptr) outgoing.why = "it does not answer";
    call(outgoing);
  }
}

void Rendezvous::call(Outgoing& outgoing) {
  const std::string& host = outgoing.routes[outgoing.next_route];
  outgoing.next_route = (outgoing.next_route + 1) % outgoing.routes.size();
  auto greeting = call_peer(identity_, outgoing.peer, host, outgoing.port);
  if (!greeting.ok()) return hang_up(outgoing, greeting.status().message());
  outgoing.greeting = std::move(greeting).value();
  outgoing.retry_at = Deadline::Clock::now() + kRoutePatience;
}

void Rendezvous::hang_up(Outgoing& outgoing, std::string why) {
  outgoing.greeting.reset();
  outgoing.why = std::move(why);
  outgoing.retry_at = Deadline::Clock::now() + outgoing.pause;
  outgoing.pause = std::min(2 * outgoing.pause, kLongestPause);
}

void Rendezvous::wait(Deadline deadline) {
  std::vector<pollfd> entries{{listening_socket_, POLLIN, 0}};
  Time until = Deadline::Clock::now() + kLongestWait;
  for (const Outgoing& outgoing : outgoing_) {
    until = std::min(until, outgoing.retry_at);
    if (outgoing.greeting == nullptr) continue;
    entries.push_back({outgoing.greeting->descriptor(), outgoing.greeting->events(), 0});
  }
  for (const auto& caller : callers_)
    entries.push_back({caller->descriptor(), caller->events(), 0});
  const Deadline next = std::min(deadline, Deadline::after(until - Deadline::Clock::now()));
  ::poll(entries.data(), entries.size(), next.poll_timeout_ms(kLongestWait));
}

Status Rendezvous::accept_callers() {
  const Deadline at_once = Deadline::after(milliseconds{0});
  for (;;) {
    auto socket = accept_connection(listening_socket_, at_once);
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
  std::erase_if(outgoing_, [this](Outgoing& outgoing) {
    if (outgoing.greeting == nullptr) return false;
    const Greeting::State state = outgoing.greeting->advance();
    // From here on the other side may count us as connected, so only it ends this.
    if (outgoing.greeting->is_answered()) outgoing.retry_at = Time::max();
    if (state == Greeting::State::kFailed)
      hang_up(outgoing, outgoing.greeting->failure().message());
    if (state != Greeting::State::kDone) return false;
    meetings_.push_back({outgoing.peer, outgoing.greeting->take_socket()});
    return true;
  });
}

void Rendezvous::advance_callers() {
  std::erase_if(callers_, [this](const std::unique_ptr<Greeting>& caller) {
    const Greeting::State state = caller->advance();
    if (state == Greeting::State::kDone) welcome(*caller);
    return state != Greeting::State::kPending;
  });
}

void Rendezvous::welcome(Greeting& greeting) {
  if (!expected_.contains(greeting.peer())) return;
  awaited_.erase(greeting.peer());
  // Who calls again has given up its earlier connection.
  std::erase_if(meetings_, [&](const Meeting& meeting) { return meeting.peer == greeting.peer(); });
  meetings_.push_back({greeting.peer(), greeting.take_socket()});
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
