#include "engine/keyed_queue.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <iterator>
#include <utility>

namespace smddp {
namespace {

// The ranks' own deadlines tell more than that of an announcement.
constexpr std::chrono::milliseconds kNever = std::chrono::milliseconds::max();

}  // namespace

void KeyedQueue::submit(const std::string& key, Request request, std::function<void()> on_turn) {
  request.synchronous = false;
  if (request.name.empty()) request.name = key;
  if (request.timeout.count() <= 0) request.timeout = timeout_;
  if (group_->world() == 1) {
    if (on_turn) on_turn();
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
  if (leads()) unannounced_.push_back({id, request.name, outline_of(request)});
  waiting_[id].push_back({std::move(request), std::move(on_turn), submitted_++});
  pass_on(lock);
}

// One thread at a time, and without the lock: the group may call back before it returns, and a
// callback may submit.
void KeyedQueue::pass_on(Lock& lock) {
  if (!passing_on_) {
    passing_on_ = true;
    while (std::optional<Next> first = next()) {
      lock.unlock();
      if (first->on_turn) first->on_turn();
      static_cast<void>(group_->submit(std::move(first->request)));
      first.reset();  // what belongs to users is not dropped under the lock
      lock.lock();
    }
    passing_on_ = false;
  }
  group_->set_waiting(!waiting_.empty() || on_joined_);
}

std::optional<KeyedQueue::Next> KeyedQueue::next() {
  if (!announced_.empty()) return next_announced();
  const bool is_wanted = leads() ? !unannounced_.empty() : !waiting_.empty();
  if (announcing_ || !(is_wanted || on_joined_)) return std::nullopt;
  announcing_ = true;
  return Next{announcement()};
}

std::optional<KeyedQueue::Next> KeyedQueue::next_announced() {
  const auto found = waiting_.find(announced_.front().id);
  if (found == waiting_.end()) {
    if (!on_joined_ || refusal_) return std::nullopt;  // this rank has not come to it
    return stand_in();
  }
  Waiting& waiting = found->second.front();
  Next first{std::move(waiting.request), std::move(waiting.on_turn)};
  found->second.pop_front();
  if (found->second.empty()) waiting_.erase(found);
  announced_.pop_front();
  return first;
}

Request KeyedQueue::announcement() {
  auto bytes = std::make_shared<std::vector<std::byte>>(kAnnouncementBytes);
  Request request;
  request.collective = Collective::kBroadcast;
  request.count = kAnnouncementBytes;
  request.timeout = kNever;
  request.root = leader_;
  request.name = "the order";
  if (leads()) *bytes = announce(unannounced_, announced_);
  if (!announced_.empty()) {
    // Who waits with something else says so; who has come to nothing at all is found here.
    const Request& first = waiting_.at(announced_.front().id).front().request;
    request.timeout = first.timeout;
    request.name += ", first " + first.name;
  } else if (!waiting_.empty()) {
    request.name += ", for which " + waiting_.begin()->second.front().request.name + " waits";
  } else {
    request.name += " of those who have not joined";
  }
  request.out = bytes->data();
  request.on_complete = [self = shared_from_this(), bytes](const Status& outcome) {
    self->on_announcement(outcome, *bytes);
  };
  return request;
}

void KeyedQueue::on_announcement(const Status& outcome, const std::vector<std::byte>& bytes) {
  if (!outcome.ok()) return fail(outcome);
  std::vector<OrderEntry> entries = read_announcement(bytes);
  OnJoined on_joined;
  Lock lock{mutex_};
  announcing_ = false;
  if (entries.empty()) {
    on_joined = hand_over();
  } else {
    last_ = leader_;
    if (!leads()) std::move(entries.begin(), entries.end(), std::back_inserter(announced_));
  }
  const Rank last = on_joined ? std::exchange(last_, 0) : 0;
  pass_on(lock);
  lock.unlock();
  if (on_joined) on_joined(last);
}

// ---- ranks that have nothing more to bring ----

void KeyedQueue::join(OnJoined on_joined) {
  Lock lock{mutex_};
  std::optional<Result<Rank>> at_once;
  if (failure_) {
    at_once = *failure_;
  } else if (on_joined_) {
    at_once = Status{StatusCode::kState, "rank " + std::to_string(group_->rank()) +
                                             ": join() was called while another join() runs"};
  } else if (group_->world() == 1) {
    at_once = Rank{0};
  }
  if (at_once) {
    lock.unlock();
    return on_joined(*std::move(at_once));
  }
  on_joined_ = std::move(on_joined);
  pass_on(lock);
}

/// What this rank brings to a collective of the others; a refusal shows in `look`.
std::optional<KeyedQueue::Next> KeyedQueue::stand_in() {
  const OrderEntry& entry = announced_.front();
  if (!can_stand_in(entry.outline, group_->rank())) {
    refusal_ = Status{StatusCode::kState,
                      "has joined, and takes part in all_reduce, barrier and the broadcast of "
                      "another rank only; rank " +
                          std::to_string(leader_) + " runs " +
                          std::string{name_of(entry.outline.collective)} + " '" + entry.name + "'"};
    return std::nullopt;
  }
  Request request = make_stand_in(entry.outline);
  request.timeout = timeout_;
  request.name = entry.name;
  announced_.pop_front();
  return Next{std::move(request)};
}

/// The leader has joined. Returns whom to tell when it was the last one.
KeyedQueue::OnJoined KeyedQueue::hand_over() {
  const bool all_joined = ++leader_ == group_->world();
  if (all_joined) leader_ = 0;
  if (leads()) lead();
  return all_joined ? std::exchange(on_joined_, nullptr) : nullptr;
}

/// Becomes the leader: all that waits here is unannounced, and nothing else is announced.
void KeyedQueue::lead() {
  std::vector<std::pair<std::uint64_t, OrderEntry>> entries;
  for (const auto& [id, uses] : waiting_) {
    for (const Waiting& one : uses)
      entries.push_back({one.number, {id, one.request.name, outline_of(one.request)}});
  }
  std::sort(entries.begin(), entries.end(),
            [](const auto& left, const auto& right) { return left.first < right.first; });
  for (auto& [number, entry] : entries) unannounced_.push_back(std::move(entry));
}

// ---- how it ends ----

Status KeyedQueue::look(const MembersView& members) {
  const Lock lock{mutex_};
  if (refusal_) {
    return {refusal_->code(), members.name_of(group_->rank()) + ": " + refusal_->message()};
  }
  if (leads()) return Status{};  // waits for nobody but the group
  for (const auto& [id, uses] : waiting_) {
    if (uses.front().is_overdue()) return overdue(uses.front(), members);
  }
  return Status{};
}

Status KeyedQueue::overdue(const Waiting& waiting, const MembersView& members) const {
  std::array<char, 32> seconds{};
  std::snprintf(seconds.data(), seconds.size(), "%.1f s",
                std::chrono::duration<double>(Clock::now() - waiting.begun).count());
  std::string text = members.name_of(group_->rank()) + ": '" + waiting.request.name +
                     "' timed out after " + seconds.data() + ": ";
  const std::string leader = members.name_of(leader_);
  if (!announced_.empty())
    return {StatusCode::kTimeout, text + leader + " runs '" + announced_.front().name +
                                      "' first, to which this rank has not come"};
  const std::vector<Rank> late = members.late();
  const bool is_leader_late = std::find(late.begin(), late.end(), leader_) != late.end();
  if (late.empty() || (is_leader_late && leader_ == 0))
    return {StatusCode::kTimeout, text + leader + " has not come to it"};
  // The ranks before the leader have joined. It has not, or would hand over but for these.
  for (const Rank rank : late) text += members.name_of(rank) + (rank == late.back() ? "" : ", ");
  return {StatusCode::kTimeout,
          text + (late.size() == 1 ? " has" : " have") + " not come to anything, nor joined"};
}

void KeyedQueue::fail(const Status& failure) {
  std::map<std::uint64_t, std::deque<Waiting>> ended;
  OnJoined on_joined;
  {
    const Lock lock{mutex_};
    if (failure_) return;
    failure_ = failure;
    ended.swap(waiting_);
    on_joined = std::exchange(on_joined_, nullptr);
    unannounced_.clear();
    announced_.clear();
    group_->set_waiting(false);
  }
  for (auto& [id, uses] : ended) {
    for (Waiting& waiting : uses) {
      if (waiting.request.on_complete) waiting.request.on_complete(failure);
    }
  }
  if (on_joined) on_joined(failure);
}

}  // namespace smddp
