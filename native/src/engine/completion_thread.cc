#include "engine/completion_thread.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <utility>

#include "base/futex.h"

namespace smddp {
namespace {

constexpr std::chrono::seconds kLongestSleep{1};
constexpr std::chrono::microseconds kDrainLook{100};

// Counters wrap.
bool is_before(std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>(a - b) < 0; }

}  // namespace

struct CompletionThread::Shared {
  MpscQueue<WorkState> queue;
  std::atomic<std::uint32_t> handed{0};  ///< operations given to the thread
  std::atomic<std::uint32_t> finished{0};
  std::atomic<std::uint32_t> events{0};  ///< the thread sleeps on this word
  std::atomic<bool> sleeping{false};
  std::atomic<bool> stopping{false};
  std::atomic<std::thread::id> thread{};

  // Sequentially consistent on both sides: either the thread's sleep ends at once because the word
  // has moved, or we see its flag.
  void notify() noexcept {
    events.fetch_add(1, std::memory_order_seq_cst);
    if (sleeping.load(std::memory_order_seq_cst)) futex_wake_all(events);
  }
  void sleep_unless_moved(std::uint32_t seen) noexcept {
    sleeping.store(true, std::memory_order_seq_cst);
    futex_wait(events, seen, kLongestSleep);
    sleeping.store(false, std::memory_order_seq_cst);
  }
};

CompletionThread::CompletionThread() : shared_(std::make_shared<Shared>()) {}

CompletionThread::~CompletionThread() {
  shared_->stopping.store(true);
  shared_->notify();
  if (!thread_.joinable()) return;
  // A callback may hold the last reference to the runtime; a thread cannot join itself.
  if (thread_.get_id() == std::this_thread::get_id()) {
    thread_.detach();
  } else {
    thread_.join();
  }
}

void CompletionThread::hand_over(std::shared_ptr<WorkState> work) {
  std::call_once(started_, [this] {
    thread_ = std::thread{[shared = shared_] {
      shared->thread.store(std::this_thread::get_id());
      run(*shared);
    }};
  });
  WorkState* raw = work.get();
  raw->self = std::move(work);
  shared_->queue.push(raw);
  shared_->handed.fetch_add(1);
  shared_->notify();
}

void CompletionThread::drain(Deadline deadline) {
  if (shared_->thread.load() == std::this_thread::get_id()) return;
  const std::uint32_t target = shared_->handed.load();
  while (is_before(shared_->finished.load(), target) && !deadline.passed())
    std::this_thread::sleep_for(kDrainLook);
}

void CompletionThread::run(Shared& shared) {
  for (;;) {
    const std::uint32_t seen = shared.events.load(std::memory_order_seq_cst);
    while (is_before(shared.finished.load(), shared.handed.load())) {
      WorkState* raw = shared.queue.try_pop();
      if (raw == nullptr) {
        std::this_thread::yield();  // another push is half done
        continue;
      }
      const std::shared_ptr<WorkState> work = std::move(raw->self);
      if (work->request.on_complete) work->request.on_complete(work->outcome());
      work->request.on_complete = nullptr;
      work->request.keep_alive.reset();
      shared.finished.fetch_add(1);
    }
    if (shared.stopping.load()) return;
    shared.sleep_unless_moved(seen);
  }
}

}  // namespace smddp
