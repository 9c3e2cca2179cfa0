#include "engine/progress_thread.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

#include "base/pause.h"
#include "engine/communicator_impl.h"

namespace smddp {
namespace {

// How long the thread looks for work before it sleeps. Falling asleep and being woken costs about
// as much. What comes from other hosts takes longer; there each look is a call of the system, and
// with ranks that share processors a hundred of them took more of these than the sums did.
constexpr std::uint32_t kSpins = 100;
constexpr std::uint32_t kYields = 100;
constexpr std::uint32_t kYieldsBetweenHosts = 4;
// While waiting awake, how many idle turns pass between two looks at deaths and deadlines.
constexpr std::uint32_t kTurnsPerLook = 64;

}  // namespace

Result<std::unique_ptr<ProgressThread>> ProgressThread::start() {
  Result<Poller> poller = Poller::open();
  if (!poller.ok()) return poller.status();
  UniqueFd bell{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  if (!bell.valid()) return errno_status("eventfd");
  SMDDP_RETURN_IF_ERROR(poller.value().add(bell.get()));
  std::unique_ptr<ProgressThread> progress{
      new ProgressThread{std::move(poller).value(), std::move(bell)}};
  progress->thread_ = std::thread{[raw = progress.get()] { raw->run(); }};
  return progress;
}

ProgressThread::~ProgressThread() {
  stopping_ = true;
  ring();
  thread_.join();
}

void ProgressThread::add(std::shared_ptr<CommunicatorImpl> communicator) {
  {
    const std::lock_guard lock{mutex_};
    members_.push_back(std::move(communicator));
    ++version_;
  }
  wake();
}

void ProgressThread::remove(const CommunicatorImpl& communicator) {
  std::uint32_t target = 0;
  {
    const std::lock_guard lock{mutex_};
    std::erase_if(members_, [&](const auto& member) { return member.get() == &communicator; });
    target = ++version_;
  }
  while (static_cast<std::int32_t>(seen_version_.load() - target) < 0) {
    wake();
    ::sched_yield();
  }
}

void ProgressThread::ring() noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(bell_.get(), &one, sizeof(one));
}

void ProgressThread::wake() noexcept {
  // Sequentially consistent on both sides: either the thread sees the new work in its last look, or
  // we see the flag.
  if (asleep_.load(std::memory_order_seq_cst)) ring();
}

void ProgressThread::refresh() {
  if (version_.load(std::memory_order_seq_cst) == seen_version_.load(std::memory_order_relaxed))
    return;
  Members old;  // destroyed without the lock
  const std::lock_guard lock{mutex_};
  old.swap(current_);
  current_ = members_;
  seen_version_ = version_.load();
}

bool ProgressThread::drive_all() {
  refresh();
  bool moved = false;
  for (const auto& communicator : current_) moved |= communicator->drive();
  return moved;
}

bool ProgressThread::is_needed() const {
  return std::any_of(current_.begin(), current_.end(),
                     [](const auto& member) { return member->needs_engine(); });
}

std::uint32_t ProgressThread::patience() const {
  const bool far = std::any_of(current_.begin(), current_.end(), [](const auto& member) {
    return member->needs_engine() && member->waits_for_hosts();
  });
  return far ? kYieldsBetweenHosts : kYields;
}

void ProgressThread::run() {
  Backoff backoff{kSpins, kYields};
  std::uint32_t idle_turns = 0;
  while (!stopping_.load(std::memory_order_relaxed)) {
    if (drive_all()) {
      backoff.reset();
    } else if (backoff.has_yielded(patience()) || !is_needed()) {
      sleep();
      backoff.reset();
    } else {
      backoff.step();
    }
    if (++idle_turns % kTurnsPerLook == 0) {
      for (const auto& communicator : current_) communicator->look_around();
    }
  }
}

void ProgressThread::sleep() {
  asleep_.store(true, std::memory_order_seq_cst);
  for (const auto& communicator : current_) {
    communicator->set_asleep(true);
    communicator->look_around();
  }
  // From here on everybody who brings work rings; what came before is seen now.
  if (!drive_all() && !stopping_.load()) {
    Deadline until = Deadline::after(std::chrono::seconds{1});
    for (const auto& communicator : current_) until = std::min(until, communicator->next_look());
    poller_.sleep(until);
  }
  asleep_.store(false, std::memory_order_seq_cst);
  for (const auto& communicator : current_) {
    communicator->set_asleep(false);
    communicator->look_around();
  }
  std::uint64_t rings = 0;
  [[maybe_unused]] const ssize_t drained = ::read(bell_.get(), &rings, sizeof(rings));
}

}  // namespace smddp
