#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "smddp/communicator.h"

#include "base/completion.h"
#include "engine/baton.h"
#include "engine/execution.h"
#include "engine/group.h"
#include "engine/inline_wait.h"
#include "engine/mailbox.h"
#include "engine/meeting.h"
#include "engine/message_watch.h"
#include "engine/mpsc_queue.h"
#include "engine/plan_cache.h"
#include "engine/watch.h"
#include "engine/work_state.h"

namespace smddp {

class RuntimeImpl;

/// Ends an operation before it is queued.
Work finish_at_once(Request& request, Status outcome);

/// One communicator's engine side: the queue of operations, the one that runs, and what ends them.
///
/// Threads: `submit`, `connect`, `leave` and the accessors may be called from any thread; `drive`,
/// `look_around`, `next_look` and `set_asleep` from the engine thread. Everything below the line
/// "baton" is touched by the baton's holder alone.
class CommunicatorImpl final : public CompletionSink,
                               public std::enable_shared_from_this<CommunicatorImpl> {
 public:
  CommunicatorImpl(RuntimeImpl& runtime, CommunicatorOptions options, const Config& config);
  ~CommunicatorImpl() override;

  const CommunicatorOptions& options() const noexcept { return options_; }
  const Config& config() const noexcept { return config_; }

  /// Meets the other members in the background, once all of them have come.
  void meet();
  Work connect();
  Work submit(Request&& request);
  Status refusal() const;
  void later(std::function<void()> task);
  void set_waiting(bool waiting);
  /// The first half of leaving: refuses new operations and tells the others, and `why`.
  void announce_leave(const std::string& why);
  void leave(Deadline deadline, const std::string& why);
  std::string transport() const;
  int hosts() const;
  Topology topology() const;
  ReachedMemory memory_of(Rank rank) const;

  /// Has something to do, or may soon.
  bool is_busy() const noexcept {
    return pending_.load(std::memory_order_seq_cst) > 0 || has_messages() ||
           dependent_waits_.load();
  }
  /// Has something to do that nobody does. Whoever drops the baton and leaves work wakes the engine
  /// thread, so until then it may sleep.
  bool needs_engine() const noexcept {
    return is_busy() && !baton_.is_taken() && !awaits_only_device();
  }
  /// Some of what it waits for comes over a network.
  bool waits_for_hosts() const noexcept {
    return phase_.load(std::memory_order_acquire) == Phase::kReady && group_->transport != nullptr;
  }
  /// One turn of the engine thread. True when anything moved; false also when somebody else holds
  /// the baton.
  bool drive();
  /// The slow path: deaths, deadlines, faults. Cheap enough for once a millisecond.
  void look_around();
  Deadline next_look();
  /// Peers ring for their news only when this communicator waits for it in its sleep.
  void set_asleep(bool asleep) noexcept;

  // CompletionSink
  void complete(Token token, Status status) override;
  void mismatch(Rank peer, const Envelope& theirs) override;
  void notice(Rank peer, std::span<const std::byte> bytes) override;
  void peer_closed(Rank peer, const Status& why) override;

 private:
  enum class Phase : std::uint8_t { kNew, kConnecting, kReady };

  /// Between two looks of the dependent, which has deadlines of its own.
  static constexpr std::chrono::milliseconds kDependentPeriod{20};
  /// Between two looks at what peers wait for while nobody drives this rank.
  static constexpr std::chrono::milliseconds kServingPeriod{1};
  /// Between two looks at a GPU that does not tell when it is done.
  static constexpr std::chrono::milliseconds kDevicePeriod{1};

  void run_connector();
  std::optional<Work> try_inline(Request& request);
  Work submit_message(Request&& request);
  bool drive_message(const std::shared_ptr<WorkState>& work);
  bool has_messages() const noexcept {
    return messages_pending_.load(std::memory_order_seq_cst) > 0;
  }
  /// The GPU is not to be waited for awake: it has its work for a step of the training.
  bool awaits_only_device() const noexcept {
    return awaits_device_.load(std::memory_order_relaxed) && !has_messages() &&
           !dependent_waits_.load();
  }
  bool has_awaited_sends() const noexcept { return sends_awaited_.load() > 0 && !failed_.load(); }
  bool is_vigilant() const noexcept { return dependent_waits_.load() && mailbox_ != nullptr; }
  Work enqueue(Request request);
  std::string prefix() const;

  // ---- baton ----
  void serve_peers();
  void take_baton();
  void drop_baton();
  void adopt(std::unique_ptr<Group> group);
  void drive_inline(const Request& request);
  Work hand_over(Request& request);
  bool step();
  Transport* only_news() const noexcept;
  bool start_next();
  void start(const Request& request);
  void carry_out(const Request& request, const Signature& signature);
  bool advance();
  bool advance_device();
  bool advance_provider();
  void wait_for_message(const WorkState& work);
  bool take_messages();
  bool post_sends();
  Status readiness(const WorkState& send, bool in_turn) const;
  bool advance_messages();
  void end_message(std::shared_ptr<WorkState> work, const Status& outcome);
  void await_writers();
  void end_pending();
  void finish_current(Status outcome);
  void deliver(std::shared_ptr<WorkState> work, const Status& outcome);
  void inspect();
  void inspect_messages();
  void ask_dependent();
  std::vector<Rank> late() const;
  void tell_dependent();
  void fail(const Status& found);
  void tell_others(const Fault& fault);
  bool go_on_telling();
  std::uint64_t submitted() const;
  void say_goodbye(const std::string& why);
  void close_group(Deadline deadline);

  RuntimeImpl& runtime_;
  const CommunicatorOptions options_;
  const Config config_;

  std::atomic<Phase> phase_{Phase::kNew};
  Meeting meeting_;
  std::atomic<bool> connector_over_{false};  ///< the thread that connects has ended
  /// Queued and running operations, except one that its caller drives, and a failure being told.
  std::atomic<int> pending_{0};
  /// Messages that are not over.
  std::atomic<int> messages_pending_{0};
  std::atomic<int> sends_awaited_{0};    ///< of them, sends that wait for their GPU
  std::atomic<int> messages_queued_{0};  ///< of them, not yet in the mailbox
  std::atomic<bool> dependent_waits_{false};
  std::atomic<bool> awaits_device_{false};  ///< the running operation does; the baton holder's
  std::atomic<bool> failed_{false};
  std::atomic<bool> leaving_{false};  ///< no new operations
  std::atomic<bool> left_{false};     ///< somebody runs `leave`, or has
  std::atomic<bool> closed_{false};   ///< the baton was taken for the last time
  MpscQueue<WorkState> queue_;
  MpscQueue<WorkState> message_queue_;
  Baton baton_;
  bool peers_wait_ = false;  ///< for what `serve_peers` does; of the engine thread

  // ---- baton ----
  std::unique_ptr<Group> group_;
  std::unique_ptr<Watch> watch_;
  std::unique_ptr<Mailbox> mailbox_;  ///< null in a world of one, as is the next
  std::unique_ptr<MessageWatch> message_watch_;
  std::unique_ptr<Execution> execution_;
  PlanCache plans_;
  std::vector<std::shared_ptr<WorkState>> awaited_sends_;  ///< whose turn has not come
  std::uint64_t sequence_ = 0;                             ///< of the next operation
  bool running_ = false;
  std::shared_ptr<WorkState> current_;  ///< null while the running operation is the caller's own
  Status inline_outcome_;
  WorkState* driven_message_ = nullptr;  ///< its caller drives it and calls back itself
  Deadline ask_dependent_at_ = Deadline::never();
  bool said_goodbye_ = false;
  std::optional<Deadline> telling_until_;  ///< a failure is still being told to other hosts
  Status failure_;  ///< what every operation ends with; written before `failed_` is set, then never
                    ///< again
};

}  // namespace smddp
