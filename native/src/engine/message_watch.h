#pragma once

#include "smddp/config.h"
#include "smddp/deadline.h"

#include "engine/group.h"
#include "engine/mailbox.h"
#include "engine/watch.h"

namespace smddp {

/// Looks after the messages of one communicator as `Watch` does after its collectives: whose ranks
/// have died or left, which have waited too long. For the slow path of the baton holder.
class MessageWatch {
 public:
  /// All outlive it.
  MessageWatch(const Group& group, const Config& config, Watch& watch, Mailbox& mailbox)
      : group_(group), config_(config), watch_(watch), mailbox_(mailbox) {}

  /// Puts what ends the messages on the board, if there is anything. The messages are looked at in
  /// the order in which they were posted. Without any, a death ends the group.
  void inspect();
  /// When `inspect` should be called at the latest.
  Deadline next_look();

 private:
  void inspect(Mailbox::Transfer& transfer, const std::vector<Rank>& dead);
  void warn(const Mailbox::Transfer& transfer) const;
  std::string whose(const Mailbox::Transfer& transfer) const;
  std::string what_is_missing(const Mailbox::Transfer& transfer) const;
  std::string seconds_waited(const Mailbox::Transfer& transfer) const;

  const Group& group_;
  const Config& config_;
  Watch& watch_;
  Mailbox& mailbox_;
};

}  // namespace smddp
