#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "smddp/config.h"
#include "smddp/deadline.h"
#include "smddp/request.h"
#include "smddp/status.h"

#include "base/signature.h"
#include "engine/execution.h"
#include "engine/group.h"
#include "engine/notice.h"
#include "engine/suspects.h"

namespace smddp {

/// Looks after one communicator's running operation: who died, who left, who is late, who does
/// something else. All text that names culprits is made here. Driven by the baton holder; `inspect`
/// is for the slow path.
class Watch {
 public:
  Watch(Group& group, const Config& config);

  /// The clock of the operation starts at the first look, because reading it is a good part of what
  /// a small operation costs and none of those is ever looked at.
  void begin(const Signature& operation, const Request& request);
  /// For an operation whose time has run since it was submitted.
  void set_deadline(Deadline deadline) noexcept;
  Deadline deadline();
  /// The GPU has done its part.
  void off_device() noexcept { on_device_ = false; }
  /// Whether the ranks of this host that are at the same operation called the same; else the
  /// failure, which is on the board then. What GPUs send each other shows nobody what it belongs
  /// to. Other hosts say so while they wait.
  Status compare();
  void end();
  /// The failure that ends the running operation, ok while there is none. It is on the board when
  /// this returns.
  Status inspect(const Execution& execution);

  void on_mismatch(Rank peer, const Envelope& theirs);
  void on_notice(Rank peer, std::span<const std::byte> bytes);
  void on_fault(const Notice& notice);
  void on_closed(Rank peer, const Status& why);

  /// Records a failure of this rank itself, in words that tell the others whose it is. Returns what
  /// this rank's operations end with: `own`, or the failure that was recorded before.
  Status report_own(const Status& own);
  /// Makes this the group's failure unless there is one already, in words that name the culprit.
  void report(StatusCode code, const std::string& text);
  /// Ranks whose process or host is gone, other than in order.
  std::vector<Rank> dead() const;
  /// "rank 1 (hostA, pid 7) died, last operation: barrier #3; rank 2 ..."
  std::string culprits(const std::vector<Rank>& ranks, const std::string& what) const;
  /// "rank 1 (hostA, pid 7) has left the group: ValueError: late", with `how` it has left
  std::string leaver(Rank rank, const std::string& how) const;
  /// Tells ranks of other hosts.
  void broadcast(const Notice& notice);
  /// When `inspect` should be called at the latest.
  Deadline next_look();

 private:
  using Clock = Deadline::Clock;

  void start_clock();
  void report(const Fault& fault);
  /// `other` is what the peer calls as the same operation.
  void report_difference(Rank peer, const Signature& other);
  /// Whether that one is the running or else the last operation.
  bool has_begun(std::uint64_t sequence) const;
  std::uint64_t failing_sequence() const;
  Status verdict();
  void look_for_the_dead();
  void look_for_leavers();
  void look_at_the_clock(const Execution& execution);
  void expire(const Execution& execution);
  void announce(const Execution& execution);
  void warn(const Execution& execution);
  Suspects suspects(const Execution& execution) const;
  bool has_seen(const Suspects& found) const;
  std::vector<Rank> missed(const Execution& execution) const;
  std::string not_started(const std::vector<Rank>& ranks) const;
  bool is_local(Rank rank) const;
  std::string operation() const;
  std::string last_seen(Rank rank) const;
  std::string seconds_waited() const;

  Group& group_;
  const Config& config_;
  std::vector<bool> closed_;  ///< connection lost, by rank

  Signature operation_;
  std::string name_;
  bool on_device_ = false;  ///< a GPU does the operation, or brings what it needs
  bool running_ = false;    ///< the operation; else it is the last one
  std::chrono::milliseconds timeout_{0};
  bool clock_runs_ = false;  ///< the next three are valid
  Deadline deadline_ = Deadline::never();
  Clock::time_point begun_;
  Clock::time_point next_announcement_;
  bool announced_ = false;
  bool warned_ = false;
  std::optional<Clock::time_point> death_seen_;
  std::optional<Clock::time_point> later_fault_seen_;  ///< a fault of a later operation
};

}  // namespace smddp
