#include "transport/tcp/rail_meeting.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <utility>

namespace smddp {
namespace {

// The peer is there and has answered on another rail.
constexpr std::chrono::seconds kRailPatience{2};

}  // namespace

RailMeeting::RailMeeting(const Identity& identity, Rank peer, GuardedFd first,
                         const std::vector<Route>& routes)
    : peer_(peer),
      first_(std::move(first)),
      rails_(routes.size()),
      calls_out_(true),
      until_(Deadline::Clock::now() + kRailPatience) {
  for (const Route& route : routes) {
    auto greeting = call_peer(identity, peer, route);
    if (greeting.ok()) calls_.push_back(std::move(greeting).value());
  }
}

RailMeeting::RailMeeting(Rank peer, GuardedFd first, std::size_t rails)
    : peer_(peer), first_(std::move(first)), rails_(rails), calls_out_(false) {}

void RailMeeting::admit(int rail, GuardedFd socket) {
  const auto slot = static_cast<std::size_t>(rail);
  if (slot < rails_.size()) rails_[slot] = std::move(socket);
}

Greeting::State RailMeeting::advance() { return calls_out_ ? call() : hear(); }

Greeting::State RailMeeting::call() {
  std::erase_if(calls_, [this](const std::unique_ptr<Greeting>& greeting) {
    const Greeting::State state = greeting->advance();
    if (state == Greeting::State::kDone) admit(greeting->rail(), greeting->take_socket());
    return state != Greeting::State::kPending;
  });
  if (!calls_.empty() && Deadline::Clock::now() < until_) return Greeting::State::kPending;
  std::uint32_t answered = 0;
  for (std::size_t rail = 0; rail < rails_.size(); ++rail) {
    if (rails_[rail].valid()) answered |= 1U << rail;
  }
  // The first few bytes on a new connection always fit.
  const ssize_t sent = ::send(first_.get(), &answered, sizeof(answered), MSG_NOSIGNAL);
  return sent == sizeof(answered) ? Greeting::State::kDone : Greeting::State::kFailed;
}

Greeting::State RailMeeting::hear() {
  std::uint32_t answered = 0;
  const ssize_t got = ::recv(first_.get(), &answered, sizeof(answered), MSG_DONTWAIT | MSG_PEEK);
  if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) return Greeting::State::kFailed;
  if (got < static_cast<ssize_t>(sizeof(answered))) return Greeting::State::kPending;
  ::recv(first_.get(), &answered, sizeof(answered), MSG_DONTWAIT);
  for (std::size_t rail = 0; rail < rails_.size(); ++rail) {
    const bool is_used = (answered >> rail & 1U) != 0;
    if (!is_used) rails_[rail].reset();
    if (is_used && !rails_[rail].valid()) return Greeting::State::kFailed;
  }
  return Greeting::State::kDone;
}

void RailMeeting::add_events(std::vector<pollfd>& entries) const {
  if (!calls_out_) entries.push_back({first_.get(), POLLIN, 0});
  for (const auto& greeting : calls_)
    entries.push_back({greeting->descriptor(), greeting->events(), 0});
}

std::vector<GuardedFd> RailMeeting::take_sockets() {
  const auto used = std::count_if(rails_.begin(), rails_.end(),
                                  [](const GuardedFd& socket) { return socket.valid(); });
  if (used < 2) {
    rails_.clear();
    rails_.push_back(std::move(first_));
  }
  return std::move(rails_);
}

}  // namespace smddp
