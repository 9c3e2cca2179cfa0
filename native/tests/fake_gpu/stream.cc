#include "stream.h"

#include <utility>

namespace fake_gpu {

void Moment::happen() {
  when_ = std::chrono::steady_clock::now();
  happened_.store(true, std::memory_order_release);
  happened_.notify_all();
}

void Moment::wait() const { happened_.wait(false, std::memory_order_acquire); }

std::shared_ptr<Stream> Stream::start(int device) {
  auto stream = std::make_shared<Stream>(device);
  // Never joined: a process must be able to end while a stream is held.
  std::thread([stream] { stream->run(); }).detach();
  return stream;
}

std::atomic<std::size_t> Stream::most_queued{0};

void Stream::push(Work work) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return most_queued == 0 || queue_.size() < most_queued; });
  queue_.push_back(std::move(work));
  ++pushed_;
  changed_.notify_all();
}

void Stream::close() {
  const std::scoped_lock lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

bool Stream::idle() {
  const std::scoped_lock lock(mutex_);
  return done_ == pushed_;
}

void Stream::drain() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this, until = pushed_] { return done_ >= until; });
}

void Stream::shut_gate() {
  const auto gate = std::make_shared<Moment>();
  const std::scoped_lock lock(mutex_);
  gates_.push_back(gate);
  queue_.push_back([gate] { gate->wait(); });
  ++pushed_;
  changed_.notify_all();
}

bool Stream::open_gate() {
  const std::scoped_lock lock(mutex_);
  if (gates_.empty()) return false;
  gates_.front()->happen();
  gates_.pop_front();
  return true;
}

void Stream::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return closed_ || !queue_.empty(); });
    if (queue_.empty()) return;
    Work work = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    work();
    work = nullptr;  // what it holds ends before anybody hears that the work is done
    lock.lock();
    ++done_;
    changed_.notify_all();
  }
}

}  // namespace fake_gpu
