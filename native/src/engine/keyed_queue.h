#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "smddp/communicator.h"
#include "smddp/deadline.h"

#include "engine/keyed_order.h"

namespace smddp {

/// What lies between a KeyedCommunicator and its group: the collectives that wait for their turn.
///
/// All ranks submit the same sequence to the group:
///
///   announcement of one or more keys by the leader (a broadcast), these collectives, announcement
///   ...
///
/// The leader announces what it has been given; the others ask for an announcement when something
/// waits with them that has not been announced. Each announcement holds a key that all ranks come
/// to, so all take part in all announcements, and none is left over at the end.
///
/// The leader is rank 0, until it joins: then an announcement of nothing makes the next rank the
/// leader, and when the last one has handed over all have joined. Who has joined takes part in all
/// announcements, and brings to what others run what changes nothing (make_stand_in).
class KeyedQueue final : public Dependent, public std::enable_shared_from_this<KeyedQueue> {
 public:
  using OnJoined = std::function<void(Result<Rank>)>;

  /// `timeout`: of requests that have none.
  explicit KeyedQueue(std::chrono::milliseconds timeout) : timeout_(timeout) {}
  /// Before anything else, once.
  void adopt(std::unique_ptr<Communicator> group) { group_ = std::move(group); }

  Communicator& group() noexcept { return *group_; }
  void submit(const std::string& key, Request request, std::function<void()> on_turn);
  /// As KeyedCommunicator::join; `on_joined` is called once.
  void join(OnJoined on_joined);

  // Dependent
  Status look(const MembersView& members) override;
  void fail(const Status& failure) override;

 private:
  using Lock = std::unique_lock<std::mutex>;
  using Clock = Deadline::Clock;

  /// What the group is to be given next.
  struct Next {
    Request request;
    std::function<void()> on_turn{};
  };

  struct Waiting {
    Request request;
    std::function<void()> on_turn;
    std::uint64_t number = 0;  ///< in the order of submission
    Clock::time_point begun = Clock::now();

    bool is_overdue() const { return Clock::now() - begun >= request.timeout; }
  };

  bool leads() const { return group_->rank() == leader_; }
  void pass_on(Lock& lock);
  std::optional<Next> next();
  std::optional<Next> next_announced();
  std::optional<Next> stand_in();
  Request announcement();
  OnJoined hand_over();
  void lead();
  void on_announcement(const Status& outcome, const std::vector<std::byte>& bytes);
  Status overdue(const Waiting& waiting, const MembersView& members) const;

  const std::chrono::milliseconds timeout_;
  std::unique_ptr<Communicator> group_;  ///< has a lock of its own
  std::mutex mutex_;
  /// By the id of the key, in the order of submission.
  std::map<std::uint64_t, std::deque<Waiting>> waiting_;
  std::uint64_t submitted_ = 0;
  Rank leader_ = 0;
  Rank last_ = 0;  ///< the highest that has announced anything since the last join
  std::deque<OrderEntry> unannounced_;  ///< the leader's: waits, and the others do not know
  std::deque<OrderEntry> announced_;    ///< what the group is to run next
  bool announcing_ = false;             ///< an announcement is on its way
  bool passing_on_ = false;             ///< a thread hands requests to the group, without the lock
  OnJoined on_joined_;                  ///< this rank has joined, and waits for the others
  std::optional<Status> refusal_;       ///< the group is to fail, as this rank cannot stand in
  std::optional<Status> failure_;
};

}  // namespace smddp
