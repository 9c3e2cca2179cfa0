#include "engine/keyed_queue.h"

#include <array>
#include <cstdio>
#include <utility>

namespace smddp {
namespace {

// The ranks' own deadlines tell more than that of an announcement.
constexpr std::chrono::milliseconds kNever = std::chrono::milliseconds::max();

}  // namespace

void KeyedQueue::submit(const std::string& key, Request request) {
  request.synchronous = false;
  if (request.name.empty()) request.name = key;
  if (request.timeout.count() <= 0) request.timeout = timeout_;
  if (group_->world() == 1) {
    static_cast<void>(group_->submit(std::move(request)));
    return;
  }
  Lock lock{mutex_};
  if (failure_) {
    lock.unlock();
    if (request.on_complete) request.on_complete(*failure_);  // never changes again
    return;
  }
  const std::uint64_t id = id_of(key);
  if (group_->rank() == 0) unannounced_.push_back({id, request.name});
  waiting_[id].push_back({std::move(request)});
  pass_on(lock);
}

// One thread at a time, and without the lock: the group may call back before it returns, and a
// callback may submit.
void KeyedQueue::pass_on(Lock& lock) {
  if (!passing_on_) {
    passing_on_ = true;
    while (std::optional<Request> request = next()) {
      lock.unlock();
      static_cast<void>(group_->submit(*std::move(request)));
      lock.lock();
    }
    passing_on_ = false;
  }
  group_->set_waiting(!waiting_.empty());
}

std::optional<Request> KeyedQueue::next() {
  if (!announced_.empty()) return next_announced();
  const bool is_wanted = group_->rank() == 0 ? !unannounced_.empty() : !waiting_.empty();
  if (announcing_ || !is_wanted) return std::nullopt;
  announcing_ = true;
  return announcement();
}

std::optional<Request> KeyedQueue::next_announced() {
  const auto found = waiting_.find(announced_.front().id);
  if (found == waiting_.end()) return std::nullopt;  // this rank has not come to it
  Request request = std::move(found->second.front().request);
  found->second.pop_front();
  if (found->second.empty()) waiting_.erase(found);
  announced_.pop_front();
  return request;
}

Request KeyedQueue::announcement() {
  auto bytes = std::make_shared<std::vector<std::byte>>(kAnnouncementBytes);
  Request request;
  request.collective = Collective::kBroadcast;
  request.count = kAnnouncementBytes;
  request.timeout = kNever;
  if (group_->rank() == 0) {
    *bytes = announce(unannounced_, announced_);
    // Who waits with something else says so; who has come to nothing at all is found here.
    const Request& first = waiting_.at(announced_.front().id).front().request;
    request.timeout = first.timeout;
    request.name = "the order, first " + first.name;
  } else {
    request.name =
        "the order, for which " + waiting_.begin()->second.front().request.name + " waits";
  }
  request.out = bytes->data();
  request.on_complete = [self = shared_from_this(), bytes](const Status& outcome) {
    self->on_announcement(outcome, *bytes);
  };
  return request;
}

void KeyedQueue::on_announcement(const Status& outcome, const std::vector<std::byte>& bytes) {
  if (!outcome.ok()) return fail(outcome);
  Lock lock{mutex_};
  announcing_ = false;
  if (group_->rank() != 0) {
    for (OrderEntry& entry : read_announcement(bytes)) announced_.push_back(std::move(entry));
  }
  pass_on(lock);
}

// ---- how it ends ----

Status KeyedQueue::look(const std::function<std::string(Rank)>& name_of) {
  if (group_->rank() == 0) return Status{};  // waits for nobody but the group
  const Lock lock{mutex_};
  for (const auto& [id, uses] : waiting_) {
    if (uses.front().is_overdue()) return overdue(uses.front(), name_of);
  }
  return Status{};
}

Status KeyedQueue::overdue(const Waiting& waiting,
                           const std::function<std::string(Rank)>& name_of) const {
  std::array<char, 32> seconds{};
  std::snprintf(seconds.data(), seconds.size(), "%.1f s",
                std::chrono::duration<double>(Clock::now() - waiting.begun).count());
  std::string text = name_of(group_->rank()) + ": '" + waiting.request.name + "' timed out after " +
                     seconds.data() + ": ";
  const std::string leader = name_of(0);
  if (announced_.empty()) return {StatusCode::kTimeout, text + leader + " has not come to it"};
  return {StatusCode::kTimeout, text + leader + " runs '" + announced_.front().name +
                                    "' first, to which this rank has not come"};
}

void KeyedQueue::fail(const Status& failure) {
  std::map<std::uint64_t, std::deque<Waiting>> ended;
  {
    const Lock lock{mutex_};
    if (failure_) return;
    failure_ = failure;
    ended.swap(waiting_);
    unannounced_.clear();
    announced_.clear();
    group_->set_waiting(false);
  }
  for (auto& [id, uses] : ended) {
    for (Waiting& waiting : uses) {
      if (waiting.request.on_complete) waiting.request.on_complete(failure);
    }
  }
}

}  // namespace smddp
