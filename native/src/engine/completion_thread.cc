#include "engine/completion_thread.h"

#include <utility>

namespace smddp {

CompletionThread::~CompletionThread() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
  }
  changed_.notify_one();
  if (!thread_.joinable()) return;
  // A callback may hold the last reference to the runtime; a thread cannot join itself.
  if (thread_.get_id() == std::this_thread::get_id()) {
    thread_.detach();
  } else {
    thread_.join();
  }
}

void CompletionThread::hand_over(std::shared_ptr<WorkState> work) {
  {
    const std::lock_guard lock{mutex_};
    queue_.push_back(std::move(work));
    if (!thread_.joinable()) thread_ = std::thread{[this] { run(); }};
  }
  changed_.notify_one();
}

void CompletionThread::drain(Deadline deadline) {
  std::unique_lock lock{mutex_};
  if (thread_.get_id() == std::this_thread::get_id()) return;
  const auto is_idle = [this] { return queue_.empty() && !busy_; };
  idle_.wait_for(lock, deadline.remaining(std::chrono::minutes{1}), is_idle);
}

void CompletionThread::run() {
  std::unique_lock lock{mutex_};
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    const std::shared_ptr<WorkState> work = std::move(queue_.front());
    queue_.pop_front();
    busy_ = true;
    lock.unlock();
    if (work->request.on_complete) work->request.on_complete(work->outcome());
    work->request.on_complete = nullptr;
    work->request.keep_alive.reset();
    lock.lock();
    busy_ = false;
    if (queue_.empty()) idle_.notify_all();
  }
}

}  // namespace smddp
