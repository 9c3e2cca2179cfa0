#include "engine/completions.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/futex.h"
#include "base/log.h"

namespace smddp {
namespace {

using Clock = Deadline::Clock;

constexpr std::chrono::seconds kLongestSleep{1};
constexpr std::chrono::microseconds kDrainLook{100};
// A callback may keep others waiting for so long if it has started an operation: little beside what
// the operation takes that it may be waiting for.
constexpr std::chrono::milliseconds kPatienceAfterStart{1};
// And if it has not: much more than waiting for an interpreter's lock takes, behind which callbacks
// had better keep their order.
constexpr std::chrono::seconds kPatience{1};
// So many callbacks may wait at once, each for an operation whose end is queued behind it.
constexpr std::size_t kMostWaiting = 64;
constexpr std::size_t kMostThreads = kMostWaiting + 2;  // one has the turn, one looks out

// Counters wrap.
bool is_before(std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>(a - b) < 0; }

}  // namespace

/// The threads. One has the *turn*: it alone pops and begins callbacks. Of the others one is the
/// *lookout*, which takes the turn away from a callback that is stuck; the rest wait to be that.
class Completions::Crew : public std::enable_shared_from_this<Crew> {
 public:
  /// The first thread, which has the turn.
  void start() { add_thread(true); }
  void push(std::shared_ptr<WorkState> work);
  std::uint32_t handed() const { return handed_.load(); }
  /// Everything up to the first `count` operations has been dealt with.
  bool is_over(std::uint32_t count) const {
    // In this order: while nobody is stuck, operations end in the order of the queue.
    return !is_before(finished_.load(), count) && stuck_.load() == 0;
  }
  bool is_own_thread() const noexcept { return tls_crew == this; }
  void note_start() noexcept;
  void stop();

 private:
  enum class Lookout : std::uint8_t {
    kAwake,
    kIdle,      ///< asleep, until something waits behind a callback
    kWatching,  ///< asleep for as long as it has patience with a callback
  };

  static constexpr std::uint32_t kNobody = 0;
  // Odd while the callback runs that the holder of the turn has begun.
  static bool is_inside(std::uint32_t turn) { return turn % 2 == 1; }
  bool has_queued() const { return taken_.load() != handed_.load(); }

  void add_thread(bool has_turn);
  void live(bool has_turn);
  bool await_turn();
  Clock::duration watch();
  bool relieve(std::uint32_t turn);
  bool serve();
  bool run(WorkState& work);
  void rouse_lookout() noexcept;

  static thread_local const Crew* tls_crew;
  static thread_local std::uint32_t tls_turn;  ///< of the callback that this thread runs

  // Sequentially consistent, all of them: who changes one and then reads a sleeper's flag, and who
  // raises the flag and then reads the others, cannot miss each other.
  MpscQueue<WorkState> queue_;
  std::atomic<std::uint32_t> handed_{0};  ///< operations pushed
  std::atomic<std::uint32_t> taken_{0};   ///< of them, popped
  std::atomic<std::uint32_t> finished_{0};
  std::atomic<std::uint32_t> turn_{0};     ///< changes when a callback begins, ends, or is relieved
  std::atomic<std::uint32_t> starter_{0};  ///< the turn whose callback has started an operation
  std::atomic<int> stuck_{0};              ///< callbacks that run on behind the turn
  std::atomic<int> spares_{0};             ///< threads without the turn that are not stuck
  std::atomic<std::uint32_t> events_{0};   ///< who has the turn sleeps on this word
  std::atomic<bool> sleeping_{false};
  std::atomic<std::uint32_t> alarms_{0};  ///< the lookout sleeps on this word
  std::atomic<Lookout> lookout_state_{Lookout::kAwake};
  std::atomic<bool> stopping_{false};

  std::mutex lookout_;  ///< who holds it is the lookout, which alone touches the next two
  std::uint32_t watched_ = kNobody;
  Clock::time_point watched_since_{};

  std::mutex threads_mutex_;
  std::vector<std::thread> threads_;
  bool told_of_limit_ = false;
};

thread_local const Completions::Crew* Completions::Crew::tls_crew = nullptr;
thread_local std::uint32_t Completions::Crew::tls_turn = kNobody;

void Completions::Crew::push(std::shared_ptr<WorkState> work) {
  WorkState* raw = work.get();
  raw->self = std::move(work);
  queue_.push(raw);
  handed_.fetch_add(1);
  events_.fetch_add(1);
  if (sleeping_.load()) futex_wake_all(events_);
  if (is_inside(turn_.load()) && lookout_state_.load() == Lookout::kIdle) rouse_lookout();
}

void Completions::Crew::note_start() noexcept {
  if (!is_own_thread()) return;
  starter_.store(tls_turn);
  if (lookout_state_.load() != Lookout::kAwake) rouse_lookout();
}

void Completions::Crew::stop() {
  std::vector<std::thread> threads;
  {
    const std::lock_guard lock{threads_mutex_};
    stopping_.store(true);
    threads.swap(threads_);
  }
  events_.fetch_add(1);
  futex_wake_all(events_);
  alarms_.fetch_add(1);
  futex_wake_all(alarms_);
  for (std::thread& thread : threads) {
    // A callback may hold the last reference to the runtime; a thread cannot join itself.
    if (thread.get_id() == std::this_thread::get_id()) {
      thread.detach();
    } else {
      thread.join();
    }
  }
}

// Without a spare thread callbacks still run, but none may wait for another operation.
void Completions::Crew::add_thread(bool has_turn) {
  const std::lock_guard lock{threads_mutex_};
  if (stopping_.load()) return;
  std::string problem = "no more than " + std::to_string(kMostWaiting) + " callbacks may do so";
  if (threads_.size() < kMostThreads) {
    try {
      threads_.emplace_back([crew = shared_from_this(), has_turn] { crew->live(has_turn); });
      if (!has_turn) spares_.fetch_add(1);
      return;
    } catch (const std::system_error& error) {
      if (has_turn) throw;
      problem = error.what();
    }
  }
  if (std::exchange(told_of_limit_, true)) return;
  log_line(LogLevel::kWarn,
           "a callback that waits for another operation may wait for ever: " + problem);
}

void Completions::Crew::live(bool has_turn) {
  tls_crew = this;
  while (has_turn || await_turn()) {
    if (!serve()) return;
    has_turn = false;
  }
}

/// False when the crew stops and nothing is left to do.
bool Completions::Crew::await_turn() {
  const std::lock_guard lookout{lookout_};
  while (!stopping_.load() || has_queued()) {
    const std::uint32_t alarm = alarms_.load();
    lookout_state_.store(Lookout::kIdle);
    const Clock::duration patience = watch();
    if (watched_ != kNobody) lookout_state_.store(Lookout::kWatching);
    if (patience > Clock::duration::zero()) futex_wait(alarms_, alarm, patience);
    lookout_state_.store(Lookout::kAwake);
    if (patience <= Clock::duration::zero() && relieve(watched_)) return true;
  }
  return false;
}

/// How long to wait for the callback that runs, if others wait behind it; not at all when it has
/// taken too long already.
Clock::duration Completions::Crew::watch() {
  const std::uint32_t turn = turn_.load();
  if (!is_inside(turn) || !has_queued()) {
    watched_ = kNobody;
    return kLongestSleep;
  }
  const auto now = Clock::now();
  if (turn != std::exchange(watched_, turn)) watched_since_ = now;
  const Clock::duration patience =
      starter_.load() == turn ? Clock::duration{kPatienceAfterStart} : Clock::duration{kPatience};
  return watched_since_ + patience - now;
}

/// Takes the turn away from a callback that does not end while others wait.
bool Completions::Crew::relieve(std::uint32_t turn) {
  stuck_.fetch_add(1);  // before others go on, which `drain` must not take for the end of this one
  if (!turn_.compare_exchange_strong(turn, turn + 1)) {
    stuck_.fetch_sub(1);
    return false;
  }
  spares_.fetch_sub(1);
  return true;
}

/// Runs callbacks as long as this thread has the turn; then it is a spare one. False when the crew
/// stops.
bool Completions::Crew::serve() {
  for (;;) {
    const std::uint32_t seen = events_.load();
    while (has_queued()) {
      WorkState* raw = queue_.try_pop();
      if (raw == nullptr) {
        std::this_thread::yield();  // another push is half done
        continue;
      }
      taken_.fetch_add(1);
      const std::shared_ptr<WorkState> work = std::move(raw->self);
      if (!run(*work)) return true;
    }
    if (stopping_.load()) {
      rouse_lookout();
      return false;
    }
    sleeping_.store(true);
    futex_wait(events_, seen, kLongestSleep);
    sleeping_.store(false);
  }
}

/// False when another thread has taken the turn meanwhile.
bool Completions::Crew::run(WorkState& work) {
  if (spares_.load() == 0) add_thread(false);
  std::uint32_t turn = turn_.fetch_add(1) + 1;
  tls_turn = turn;
  if (has_queued() && lookout_state_.load() == Lookout::kIdle) rouse_lookout();
  if (work.request.on_complete) work.request.on_complete(work.outcome());
  work.request.on_complete = nullptr;
  work.request.device_part.reset();
  work.request.keep_alive.reset();
  finished_.fetch_add(1);
  if (turn_.compare_exchange_strong(turn, turn + 1)) return true;
  spares_.fetch_add(
      1);  // before `drain` tells that this is over, so that nobody adds a thread then
  stuck_.fetch_sub(1);
  return false;
}

void Completions::Crew::rouse_lookout() noexcept {
  alarms_.fetch_add(1);
  futex_wake_all(alarms_);
}

Completions::Completions() : crew_(std::make_shared<Crew>()) {}

Completions::~Completions() { crew_->stop(); }

void Completions::hand_over(std::shared_ptr<WorkState> work) {
  std::call_once(started_, [this] { crew_->start(); });
  // What is handed over may destroy this object before `push` returns.
  const std::shared_ptr<Crew> crew = crew_;
  crew->push(std::move(work));
}

void Completions::note_start() noexcept { crew_->note_start(); }

void Completions::drain(Deadline deadline) {
  if (crew_->is_own_thread()) return;
  const std::uint32_t target = crew_->handed();
  while (!crew_->is_over(target) && !deadline.passed()) std::this_thread::sleep_for(kDrainLook);
}

}  // namespace smddp
