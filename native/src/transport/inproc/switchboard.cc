#include "transport/inproc/switchboard.h"

#include <algorithm>
#include <chrono>

#include "base/auth.h"
#include "base/rank_label.h"
#include "transport/missing_ranks.h"

namespace smddp {
namespace {

constexpr std::chrono::milliseconds kWaitAtOnce{1000};

std::string key_of(const Switchboard::Caller& caller, const Switchboard::Call& call) {
  const auto [first, second] = std::minmax(caller.address, call.address);
  return first + "\n" + second + "\n" + caller.credentials;
}

bool is_connected(const Switchboard::Call& call) { return call.is_connected(); }

}  // namespace

void Bell::ring() {
  const std::lock_guard lock(mutex_);
  if (wake_) wake_();
}

void Bell::silence() {
  const std::lock_guard lock(mutex_);
  wake_ = nullptr;
}

Switchboard& Switchboard::instance() {
  static Switchboard switchboard;
  return switchboard;
}

std::string Switchboard::open() {
  std::string address = "inproc:" + to_hex(random_bytes(16));
  const std::lock_guard lock(mutex_);
  open_.insert(address);
  return address;
}

void Switchboard::close(const std::string& address) {
  const std::lock_guard lock(mutex_);
  open_.erase(address);
}

Status Switchboard::connect(const Caller& caller, std::vector<Call>& calls, Deadline deadline) {
  std::unique_lock lock(mutex_);
  for (Call& call : calls) {
    if (Status joined = join(caller, call); !joined.ok()) {
      withdraw(caller, calls);
      return joined;
    }
  }
  joined_.notify_all();
  while (!std::all_of(calls.begin(), calls.end(), is_connected)) {
    if (deadline.passed()) return missing_ranks_status(caller.labels, withdraw(caller, calls));
    joined_.wait_for(lock, deadline.remaining(kWaitAtOnce));
  }
  return {};
}

Status Switchboard::join(const Caller& caller, Call& call) {
  if (!open_.contains(call.address)) {
    return {StatusCode::kPeerLost, "rank " + std::to_string(label_of(caller.labels, call.rank)) +
                                       " has left, or is in another process (" + call.address +
                                       "): transport inproc connects the threads of one process"};
  }
  std::shared_ptr<Link>& link = waiting_[key_of(caller, call)];
  if (link == nullptr) link = std::make_shared<Link>();
  call.link = link;
  link->bells[caller.rank < call.rank ? 0 : 1] = caller.bell;
  if (call.is_connected()) waiting_.erase(key_of(caller, call));
  return {};
}

std::vector<MissingRank> Switchboard::withdraw(const Caller& caller,
                                               const std::vector<Call>& calls) {
  std::vector<MissingRank> missing;
  for (const Call& call : calls) {
    if (call.link == nullptr || call.is_connected()) continue;
    waiting_.erase(key_of(caller, call));
    missing.push_back({call.rank, ""});
  }
  return missing;
}

}  // namespace smddp
