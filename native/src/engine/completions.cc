#include "engine/completions.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include "base/futex.h"

namespace smddp {
namespace {

constexpr std::chrono::seconds kLongestSleep{1};
constexpr std::chrono::microseconds kDrainLook{100};
// A callback may keep others waiting for this long. Much more than callbacks take that wait for
// nothing, and little beside the collective that one waits for.
constexpr std::chrono::milliseconds kPatience{1};
// So many callbacks may wait at once, each for an operation whose end is queued behind it.
constexpr std::size_t kMostThreads = 64;

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
  bool is_own_thread() const { return tls_crew == this; }
  void stop();

 private:
  // Odd while the callback runs that the holder of the turn has begun.
  static bool is_inside(std::uint32_t turn) { return turn % 2 == 1; }
  bool has_queued() const { return taken_.load() != handed_.load(); }

  void add_thread(bool has_turn);
  void live(bool has_turn);
  bool await_turn();
  bool relieve();
  bool serve();
  bool run(WorkState& work);
  void rouse_lookout();

  static thread_local const Crew* tls_crew;

  // Sequentially consistent, all of them: who changes one and then reads a sleeper's flag, and who
  // raises the flag and then reads the others, cannot miss each other.
  MpscQueue<WorkState> queue_;
  std::atomic<std::uint32_t> handed_{0};  ///< operations pushed
  std::atomic<std::uint32_t> taken_{0};   ///< of them, popped
  std::atomic<std::uint32_t> finished_{0};
  std::atomic<std::uint32_t> turn_{0};    ///< changes when a callback begins, ends, or is relieved
  std::atomic<int> stuck_{0};             ///< callbacks that run on behind the turn
  std::atomic<int> spares_{0};            ///< threads without the turn that are not stuck
  std::atomic<std::uint32_t> events_{0};  ///< who has the turn sleeps on this word
  std::atomic<bool> sleeping_{false};
  std::atomic<std::uint32_t> alarms_{0};  ///< the lookout sleeps on this word
  std::atomic<bool> lookout_sleeping_{false};
  std::atomic<bool> stopping_{false};
  std::mutex lookout_;  ///< who holds it is the lookout

  std::mutex threads_mutex_;
  std::vector<std::thread> threads_;
};

thread_local const Completions::Crew* Completions::Crew::tls_crew = nullptr;

void Completions::Crew::push(std::shared_ptr<WorkState> work) {
  WorkState* raw = work.get();
  raw->self = std::move(work);
  queue_.push(raw);
  handed_.fetch_add(1);
  events_.fetch_add(1);
  if (sleeping_.load()) futex_wake_all(events_);
  if (is_inside(turn_.load())) rouse_lookout();
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

void Completions::Crew::add_thread(bool has_turn) {
  const std::lock_guard lock{threads_mutex_};
  if (stopping_.load() || threads_.size() >= kMostThreads) return;
  if (!has_turn) spares_.fetch_add(1);
  threads_.emplace_back([crew = shared_from_this(), has_turn] { crew->live(has_turn); });
}

void Completions::Crew::live(bool has_turn) {
  tls_crew = this;
  while (has_turn || await_turn()) {
    if (!serve()) return;
    has_turn = false;
    spares_.fetch_add(1);
  }
}

/// False when the crew stops.
bool Completions::Crew::await_turn() {
  const std::lock_guard lookout{lookout_};
  while (!stopping_.load()) {
    const std::uint32_t alarm = alarms_.load();
    lookout_sleeping_.store(true);
    const bool may_be_stuck = is_inside(turn_.load()) && has_queued();
    if (!may_be_stuck) futex_wait(alarms_, alarm, kLongestSleep);
    lookout_sleeping_.store(false);
    if (may_be_stuck && relieve()) return true;
  }
  return false;
}

/// Takes the turn away from a callback that does not end while others wait.
bool Completions::Crew::relieve() {
  std::uint32_t turn = turn_.load();
  if (!is_inside(turn)) return false;
  futex_wait(turn_, turn, kPatience);  // nobody wakes us: it is a nap that ends with the callback
  if (!has_queued() || !turn_.compare_exchange_strong(turn, turn + 1)) return false;
  spares_.fetch_sub(1);
  stuck_.fetch_add(1);
  return true;
}

/// Runs callbacks as long as this thread has the turn. False when the crew stops.
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
    if (stopping_.load()) return false;
    sleeping_.store(true);
    futex_wait(events_, seen, kLongestSleep);
    sleeping_.store(false);
  }
}

/// False when another thread has taken the turn meanwhile.
bool Completions::Crew::run(WorkState& work) {
  if (spares_.load() == 0) add_thread(false);
  std::uint32_t turn = turn_.fetch_add(1) + 1;
  if (has_queued()) rouse_lookout();
  if (work.request.on_complete) work.request.on_complete(work.outcome());
  work.request.on_complete = nullptr;
  work.request.keep_alive.reset();
  finished_.fetch_add(1);
  if (turn_.compare_exchange_strong(turn, turn + 1)) return true;
  stuck_.fetch_sub(1);
  return false;
}

void Completions::Crew::rouse_lookout() {
  if (!lookout_sleeping_.load()) return;
  alarms_.fetch_add(1);
  futex_wake_all(alarms_);
}

Completions::Completions() : crew_(std::make_shared<Crew>()) {}

Completions::~Completions() { crew_->stop(); }

void Completions::hand_over(std::shared_ptr<WorkState> work) {
  std::call_once(started_, [this] { crew_->start(); });
  crew_->push(std::move(work));
}

void Completions::drain(Deadline deadline) {
  if (crew_->is_own_thread()) return;
  const std::uint32_t target = crew_->handed();
  while (!crew_->is_over(target) && !deadline.passed()) std::this_thread::sleep_for(kDrainLook);
}

}  // namespace smddp
