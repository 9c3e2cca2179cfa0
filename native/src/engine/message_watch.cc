#include "engine/message_watch.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <string>

#include "base/log.h"

namespace smddp {

void MessageWatch::inspect() {
  std::vector<Rank> dead = watch_.dead();
  for (Rank rank = 0; rank < group_.placement.world(); ++rank) {
    const bool is_gone = mailbox_.is_cut_off(rank) && !group_.board->has_finished(rank);
    if (is_gone && std::find(dead.begin(), dead.end(), rank) == dead.end()) dead.push_back(rank);
  }
  if (mailbox_.transfers().empty() && !dead.empty())
    watch_.report(StatusCode::kPeerLost, watch_.culprits(dead, "died"));
  for (Mailbox::Transfer& transfer : mailbox_.transfers()) {
    if (group_.board->has_fault()) return;
    inspect(transfer, dead);
  }
}

void MessageWatch::inspect(Mailbox::Transfer& transfer, const std::vector<Rank>& dead) {
  if (!dead.empty()) {
    watch_.report(StatusCode::kPeerLost,
                  whose(transfer) + " failed: " + watch_.culprits(dead, "died"));
  } else if (mailbox_.is_hopeless(transfer)) {
    const Rank peer = transfer.peer();
    const std::string who = peer == kAnyRank ? "all other ranks have left the group"
                                             : watch_.leaver(peer, "has left the group");
    watch_.report(StatusCode::kPeerLost, whose(transfer) + " failed: " + who);
  } else if (transfer.work->deadline.passed()) {
    watch_.report(StatusCode::kTimeout, whose(transfer) + " timed out after " +
                                            seconds_waited(transfer) + ": " +
                                            what_is_missing(transfer));
  } else if (!transfer.warned && Deadline::Clock::now() - transfer.begun >= config_.slow_warning) {
    transfer.warned = true;
    warn(transfer);
  }
}

// "rank 2 (hostA, pid 7): recv from rank 1 (10 elements of float32, tag 5)"
std::string MessageWatch::whose(const Mailbox::Transfer& transfer) const {
  return group_.name_of(group_.self) + ": " + mailbox_.describe(transfer.request());
}

std::string MessageWatch::what_is_missing(const Mailbox::Transfer& transfer) const {
  const Rank peer = transfer.peer();
  if (peer == kAnyRank) return "no rank has sent it";
  if (transfer.state == Mailbox::Transfer::State::kMoving)
    return watch_.culprits({peer}, "makes no progress");
  return watch_.culprits({peer}, transfer.is_send() ? "has not received it" : "has not sent it");
}

void MessageWatch::warn(const Mailbox::Transfer& transfer) const {
  log_line(LogLevel::kWarn, whose(transfer) + " has waited " + seconds_waited(transfer) + ": " +
                                what_is_missing(transfer));
}

std::string MessageWatch::seconds_waited(const Mailbox::Transfer& transfer) const {
  const std::chrono::duration<double> waited = Deadline::Clock::now() - transfer.begun;
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f s", waited.count());
  return text.data();
}

Deadline MessageWatch::next_look() {
  const auto now = Deadline::Clock::now();
  auto at = now + std::chrono::seconds{1};
  for (const Mailbox::Transfer& transfer : mailbox_.transfers()) {
    at = std::min(at, transfer.work->deadline.at());
    if (!transfer.warned) at = std::min(at, transfer.begun + config_.slow_warning);
  }
  return Deadline::after(
      std::max<std::chrono::nanoseconds>(at - now, std::chrono::milliseconds{1}));
}

}  // namespace smddp
