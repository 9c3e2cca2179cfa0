#include "engine/runtime_impl.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/auth.h"
#include "base/fork_guard.h"
#include "base/host_id.h"
#include "base/log.h"
#include "engine/communicator_impl.h"

namespace smddp {
namespace {

Result<LogLevel> parse_log_level(const std::string& name) {
  const std::array<std::string, 5> names{"NONE", "VERSION", "WARN", "INFO", "TRACE"};
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) return static_cast<LogLevel>(i);
  }
  return Status{StatusCode::kConfig,
                "log level \"" + name + "\" is none of NONE, VERSION, WARN, INFO, TRACE"};
}

/// Another process's registered heap, whole; empty when there is no address space for it.
Mapping map_heap(int file) {
  struct stat facts{};
  if (::fstat(file, &facts) != 0) return Mapping{};
  Result<Mapping> heap =
      Mapping::sparse(file, static_cast<std::size_t>(facts.st_size), InChildren::kNothing);
  if (heap.ok()) return std::move(heap).value();
  log_line(LogLevel::kInfo, "registered memory is not used: " + heap.status().message());
  return Mapping{};
}

}  // namespace

RuntimeImpl::RuntimeImpl(const Config& config, std::unique_ptr<ProgressThread> progress)
    : config_(config),
      host_name_(smddp::host_name()),
      process_name_(to_hex(random_bytes(8))),
      progress_(std::move(progress)) {}

Result<std::shared_ptr<RuntimeImpl>> RuntimeImpl::start(const Config& config) {
  Result<LogLevel> level = parse_log_level(config.log_level);
  if (!level.ok()) return level.status();
  configure_log(level.value(), config.log_file);
  set_fork_guard(true);
  auto progress = ProgressThread::start();
  if (!progress.ok()) return progress.status();
  return leak_in_child(new RuntimeImpl{config, std::move(progress).value()});
}

RuntimeImpl::~RuntimeImpl() { set_fork_guard(false); }

std::shared_ptr<PeerProcess> RuntimeImpl::meet(const std::string& process_name,
                                               ProcessDescriptors descriptors) {
  const std::lock_guard lock{mutex_};
  std::weak_ptr<PeerProcess>& known = peers_[process_name];
  if (auto peer = known.lock()) return peer;
  const int watched = descriptors.pidfd.get();
  // The poller must forget the descriptor before it is closed: copies of it live in other
  // processes.
  const auto forget = [this, watched](PeerProcess* peer) {
    progress_->poller().remove(watched);
    delete peer;
  };
  std::shared_ptr<PeerProcess> peer{
      new PeerProcess{std::move(descriptors.bell), std::move(descriptors.pidfd),
                      map_heap(descriptors.heap.get())},
      forget};
  if (watched >= 0 && !progress_->poller().add(watched).ok()) {
    log_line(LogLevel::kWarn,
             "cannot watch a peer process; its death will be noticed a second later");
  }
  known = peer;
  return peer;
}

// ---- the public face ----

namespace {

std::mutex g_mutex;
std::weak_ptr<RuntimeImpl> g_runtime;
std::vector<std::weak_ptr<CommunicatorImpl>> g_communicators;

Status forked_status() {
  return Status{StatusCode::kState,
                "this process was forked from one that uses smddp, and cannot use it itself; start "
                "it with the "
                "\"spawn\" method, or initialise smddp after the fork"};
}

}  // namespace

Result<std::shared_ptr<Runtime>> Runtime::acquire(const Config& config) {
  if (in_forked_child()) return forked_status();
  const std::lock_guard lock{g_mutex};
  auto impl = g_runtime.lock();
  if (impl == nullptr) {
    Result<std::shared_ptr<RuntimeImpl>> started = RuntimeImpl::start(config);
    if (!started.ok()) return started.status();
    impl = std::move(started).value();
    g_runtime = impl;
  }
  return std::make_shared<Runtime>(std::move(impl));
}

Result<std::unique_ptr<Communicator>> Runtime::create_communicator(CommunicatorOptions options) {
  return create_communicator(std::move(options), impl_->config());
}

Result<std::unique_ptr<Communicator>> Runtime::create_communicator(CommunicatorOptions options,
                                                                   const Config& config) {
  if (in_forked_child()) return forked_status();
  if (options.world < 1 || options.rank < 0 || options.rank >= options.world) {
    return Status{
        StatusCode::kInvalidArgument,
        "rank " + std::to_string(options.rank) + " of a world of " + std::to_string(options.world)};
  }
  if (options.store == nullptr && options.world > 1) {
    return Status{StatusCode::kInvalidArgument,
                  "a world of " + std::to_string(options.world) + " needs a store"};
  }
  auto communicator = leak_in_child(new CommunicatorImpl{*impl_, std::move(options), config});
  impl_->progress().add(communicator);
  {
    const std::lock_guard lock{g_mutex};
    std::erase_if(g_communicators, [](const auto& known) { return known.expired(); });
    g_communicators.push_back(communicator);
  }
  return std::make_unique<Communicator>(impl_, std::move(communicator));
}

void Runtime::leave_all(const std::string& why) {
  if (in_forked_child()) return;
  std::vector<std::shared_ptr<CommunicatorImpl>> alive;
  {
    const std::lock_guard lock{g_mutex};
    for (const auto& known : g_communicators) {
      if (auto communicator = known.lock()) alive.push_back(std::move(communicator));
    }
  }
  // All others hear of it at once, however long the groups before theirs take.
  std::chrono::milliseconds grace{0};
  for (const auto& communicator : alive) {
    communicator->announce_leave(why);
    grace = std::max(grace, communicator->config().leave_grace);
  }
  const Deadline deadline = Deadline::after(grace);
  for (const auto& communicator : alive) communicator->leave(deadline, why);
}

}  // namespace smddp
