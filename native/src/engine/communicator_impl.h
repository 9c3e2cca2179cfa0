#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "smddp/communicator.h"

#include "base/completion.h"
#include "engine/baton.h"
#include "engine/execution.h"
#include "engine/group.h"
#include "engine/inline_wait.h"
#include "engine/mpsc_queue.h"
#include "engine/plan_cache.h"
#include "engine/watch.h"
#include "engine/work_state.h"

namespace smddp {

class RuntimeImpl;

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

  Work connect();
  Work submit(Request request);
  /// The first half of leaving: refuses new operations and tells the others.
  void announce_leave();
  void leave(Deadline deadline);
  std::string transport() const;
  int hosts() const;

  /// Has something to do, or may soon.
  bool is_busy() const noexcept { return pending_.load(std::memory_order_seq_cst) > 0; }
  /// Has something to do that nobody does. Whoever drops the baton and leaves work wakes the engine
  /// thread, so until then it may sleep.
  bool needs_engine() const noexcept { return is_busy() && !baton_.is_taken(); }
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

  void ensure_connecting(Deadline deadline);
  void run_connector(Deadline deadline);
  std::optional<Work> try_inline(Request& request);
  Work enqueue(Request request);
  Status refusal() const;
  std::string prefix() const;

  // ---- baton ----
  void take_baton();
  void drop_baton();
  void adopt(std::unique_ptr<Group> group);
  void drive_inline(const Request& request);
  Work hand_over(Request& request);
  bool step();
  bool start_next();
  void start(const Request& request);
  bool advance();
  void end_pending();
  void finish_current(Status outcome);
  void deliver(std::shared_ptr<WorkState> work, const Status& outcome);
  void inspect();
  void fail(const Status& found);
  void tell_others(const Fault& fault);
  bool go_on_telling();
  void say_goodbye();
  void close_group(Deadline deadline);

  RuntimeImpl& runtime_;
  const CommunicatorOptions options_;
  const Config config_;

  std::atomic<Phase> phase_{Phase::kNew};
  std::atomic<int> pending_{0};  ///< queued and running operations, and a failure being told
  std::atomic<std::uint64_t> submitted_{0};  ///< operations that this rank will take part in
  std::atomic<bool> failed_{false};
  std::atomic<bool> leaving_{false};  ///< no new operations
  std::atomic<bool> left_{false};     ///< somebody runs `leave`, or has
  std::atomic<bool> closed_{false};   ///< the baton was taken for the last time
  MpscQueue<WorkState> queue_;
  Baton baton_;

  // ---- baton ----
  std::unique_ptr<Group> group_;
  std::unique_ptr<Watch> watch_;
  std::unique_ptr<Execution> execution_;
  PlanCache plans_;
  std::uint64_t sequence_ = 0;  ///< of the next operation
  bool running_ = false;
  std::shared_ptr<WorkState> current_;  ///< null while the running operation is the caller's own
  Status inline_outcome_;
  bool said_goodbye_ = false;
  std::optional<Deadline> telling_until_;  ///< a failure is still being told to other hosts
  Status failure_;  ///< what every operation ends with; written before `failed_` is set, then never
                    ///< again
};

}  // namespace smddp
