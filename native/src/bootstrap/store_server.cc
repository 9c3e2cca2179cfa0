#include "bootstrap/store_server.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <exception>
#include <mutex>
#include <system_error>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/socket.h"
#include "bootstrap/keepalive.h"
#include "bootstrap/store_connection.h"

namespace smddp {
namespace {

using std::chrono::milliseconds;
using Clock = StoreConnection::Clock;

// Strangers do not count as clients. When this many are connected at once, new connections wait in
// the listening queue and the silent ones are dropped sooner.
constexpr std::size_t kMaxStrangers = 256;
constexpr milliseconds kPatienceWhenCrowded{1000};
// After accept has failed, usually for want of descriptors, it would fail again at once.
constexpr milliseconds kAcceptPause{100};

}  // namespace

class StoreServer::Loop {
 public:
  Loop(const StoreServerOptions& options, GuardedFd wake, std::vector<GuardedFd> listeners)
      : options_(options), wake_(std::move(wake)), listeners_(std::move(listeners)) {}

  /// The whole life of the thread.
  void run_guarded() noexcept;
  /// From any thread.
  void stop(Deadline grace);

 private:
  using Connection = std::unique_ptr<StoreConnection>;

  void run();
  bool finished();
  Deadline grace() const;
  void begin_stopping();
  void wait_for_events();
  int poll_timeout_ms() const;
  void accept_from(const GuardedFd& listener);
  void admit(UniqueFd fd);
  void serve(std::size_t index);
  void handle(StoreConnection& client, const StoreRequest& request);
  void answer_waiting(const std::string& key);
  void drop_silent_strangers();
  std::size_t strangers() const;
  milliseconds patience() const;

  const StoreServerOptions options_;
  GuardedFd wake_;
  std::vector<GuardedFd> listeners_;
  std::vector<Connection> connections_;
  std::vector<pollfd> polled_;
  KeyValues values_;
  Clock::time_point accept_again_at_{};
  bool stopping_ = false;

  std::atomic<bool> stop_requested_{false};
  mutable std::mutex grace_mutex_;
  Deadline grace_ = Deadline::never();
};

void StoreServer::Loop::stop(Deadline grace) {
  {
    const std::lock_guard lock(grace_mutex_);
    grace_ = std::min(grace_, grace);
  }
  stop_requested_ = true;
  const std::uint64_t one = 1;
  // The counter cannot overflow, so the write cannot fail.
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof(one));
}

Deadline StoreServer::Loop::grace() const {
  const std::lock_guard lock(grace_mutex_);
  return grace_;
}

void StoreServer::Loop::run_guarded() noexcept {
  try {
    run();
  } catch (const std::exception& error) {
    log_line(LogLevel::kWarn, std::string("the store of rank 0 ends: ") + error.what());
  }
  // Whoever still waits for an answer must see that none will come.
  listeners_.clear();
  connections_.clear();
}

void StoreServer::Loop::run() {
  while (!finished()) {
    wait_for_events();
    if (polled_[0].revents != 0) {
      std::uint64_t count = 0;
      [[maybe_unused]] const ssize_t got = ::read(wake_.get(), &count, sizeof(count));
    }
    // Serving removes no entries and accepting only appends, so indices stay those of `polled_`.
    const std::size_t first = 1 + listeners_.size();
    for (std::size_t i = first; i < polled_.size(); ++i) {
      if (polled_[i].revents != 0) serve(i - first);
    }
    for (std::size_t i = 0; i < listeners_.size(); ++i) {
      if (polled_[1 + i].revents != 0) accept_from(listeners_[i]);
    }
    drop_silent_strangers();
    std::erase(connections_, nullptr);
  }
}

bool StoreServer::Loop::finished() {
  if (!stop_requested_) return false;
  if (!stopping_) begin_stopping();
  return connections_.empty() || grace().passed();
}

void StoreServer::Loop::begin_stopping() {
  stopping_ = true;
  listeners_.clear();
  std::erase_if(connections_, [](const Connection& each) { return !each->authenticated(); });
}

void StoreServer::Loop::wait_for_events() {
  polled_.clear();
  polled_.push_back({wake_.get(), POLLIN, 0});
  const bool accepting = strangers() < kMaxStrangers && Clock::now() >= accept_again_at_;
  for (const GuardedFd& listener : listeners_) {
    polled_.push_back({listener.get(), static_cast<short>(accepting ? POLLIN : 0), 0});
  }
  for (const Connection& each : connections_) polled_.push_back({each->fd(), each->events(), 0});
  if (::poll(polled_.data(), polled_.size(), poll_timeout_ms()) < 0) {
    for (pollfd& entry : polled_) entry.revents = 0;  // a signal, or no memory for a moment
  }
}

int StoreServer::Loop::poll_timeout_ms() const {
  constexpr milliseconds kAtMost{60000};
  Deadline next = stopping_ ? grace() : Deadline::never();
  const auto until = [&next](Clock::time_point moment) {
    const auto left = std::max(moment - Clock::now(), Clock::duration::zero());
    next = std::min(next, Deadline::after(left));
  };
  if (accept_again_at_ > Clock::now()) until(accept_again_at_);
  // Connections are in the order of their arrival: the first stranger is the next to be dropped.
  const auto stranger = std::find_if(connections_.begin(), connections_.end(),
                                     [](const Connection& each) { return !each->authenticated(); });
  if (stranger != connections_.end()) until((*stranger)->opened_at() + patience());
  return next.poll_timeout_ms(kAtMost);
}

void StoreServer::Loop::accept_from(const GuardedFd& listener) {
  // One per round and listener: a burst of connections does not hold up the clients who are there.
  auto fd = accept_connection(listener.get(), Deadline::after(milliseconds{0}));
  if (fd.ok()) {
    admit(std::move(fd).value());
  } else if (fd.status().code() != StatusCode::kTimeout) {
    if (accept_again_at_ == Clock::time_point{}) {
      log_line(LogLevel::kWarn,
               "the store of rank 0 cannot accept connections: " + fd.status().message());
    }
    accept_again_at_ = Clock::now() + kAcceptPause;
  }
}

void StoreServer::Loop::admit(UniqueFd fd) {
  // Without a place it is closed; clients try again.
  if (connections_.size() >= options_.max_clients + kMaxStrangers) return;
  keep_alive(fd.get());
  connections_.push_back(
      std::make_unique<StoreConnection>(GuardedFd(std::move(fd)), options_.secret));
  serve(connections_.size() - 1);  // a quick client may be through with the handshake already
}

void StoreServer::Loop::serve(std::size_t index) {
  Connection& client = connections_[index];
  const bool alive = client->progress();
  if (!alive) {
    if (!client->authenticated() && log_enabled(LogLevel::kInfo)) {
      log_line(LogLevel::kInfo,
               "the store of rank 0 refused a connection from " + peer_name(client->fd()));
    }
    client.reset();
    return;
  }
  if (const auto request = client->take_request()) handle(*client, *request);
}

void StoreServer::Loop::handle(StoreConnection& client, const StoreRequest& request) {
  if (request.op == StoreOp::kSet) {
    values_.set(request.key, request.value);
    client.answer(StoreAnswer::kOk, nullptr);
    return answer_waiting(request.key);
  }
  if (request.op == StoreOp::kAdd) {
    const auto sum = values_.add(request.key, request.delta);
    const auto text = sum.ok() ? std::to_string(sum.value()) : sum.status().message();
    client.answer(sum.ok() ? StoreAnswer::kOk : StoreAnswer::kInvalid,
                  std::make_shared<std::string>(text));
    return answer_waiting(request.key);
  }
  if (auto value = values_.find(request.key))
    return client.answer(StoreAnswer::kOk, std::move(value));
  if (request.op == StoreOp::kProbe) return client.answer(StoreAnswer::kAbsent, nullptr);
  client.park(request.key);
}

void StoreServer::Loop::answer_waiting(const std::string& key) {
  const auto value = values_.find(key);
  if (!value) return;
  for (const Connection& each : connections_) {
    if (each && each->awaited_key() == key) each->answer(StoreAnswer::kOk, value);
  }
}

std::size_t StoreServer::Loop::strangers() const {
  return static_cast<std::size_t>(
      std::count_if(connections_.begin(), connections_.end(),
                    [](const Connection& each) { return each && !each->authenticated(); }));
}

milliseconds StoreServer::Loop::patience() const {
  return strangers() < kMaxStrangers ? options_.handshake_patience
                                     : std::min(options_.handshake_patience, kPatienceWhenCrowded);
}

void StoreServer::Loop::drop_silent_strangers() {
  const auto opened_before = Clock::now() - patience();
  for (Connection& each : connections_) {
    if (each && !each->authenticated() && each->opened_at() <= opened_before) each.reset();
  }
}

namespace {

Result<GuardedFd> open_wake() {
  UniqueFd fd{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  if (!fd.valid()) return errno_status("eventfd");
  return GuardedFd(std::move(fd));
}

Status taken(const Status& why) {
  if (why.code() != StatusCode::kSystem) return why;
  return {StatusCode::kConfig, "rank 0 cannot serve the store: " + why.message()};
}

}  // namespace

Result<std::unique_ptr<StoreServer>> StoreServer::start(const StoreServerOptions& options) {
  auto wake = open_wake();
  if (!wake.ok()) return wake.status();
  std::vector<GuardedFd> listeners;
  std::uint16_t port = 0;
  if (options.tcp_port) {
    auto fd = listen_tcp(options.tcp_address, *options.tcp_port);
    if (!fd.ok()) return taken(fd.status());
    const auto bound = local_port(fd.value().get());
    if (!bound.ok()) return bound.status();
    port = bound.value();
    listeners.emplace_back(std::move(fd).value());
  }
  if (!options.abstract_name.empty()) {
    auto fd = listen_abstract(options.abstract_name);
    if (!fd.ok()) return taken(fd.status());
    listeners.emplace_back(std::move(fd).value());
  }
  auto loop = std::make_unique<Loop>(options, std::move(wake).value(), std::move(listeners));
  std::unique_ptr<StoreServer> server(new StoreServer(std::move(loop), port));
  SMDDP_RETURN_IF_ERROR(server->start_thread());
  return server;
}

StoreServer::StoreServer(std::unique_ptr<Loop> loop, std::uint16_t port)
    : loop_(std::move(loop)), port_(port) {}

Status StoreServer::start_thread() {
  // Signals are for the threads of the program, which may want to act on them.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  Status status;
  try {
    thread_ = std::make_unique<std::thread>([loop = loop_.get()] { loop->run_guarded(); });
    ::pthread_setname_np(thread_->native_handle(), "smddp-store");
  } catch (const std::system_error& error) {
    status = {StatusCode::kSystem,
              std::string("cannot start the thread of the store: ") + error.what()};
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return status;
}

StoreServer::~StoreServer() {
  if (in_forked_child()) {
    // The thread does not exist here and may have been changing anything at the moment of the fork.
    static_cast<void>(thread_.release());
    static_cast<void>(loop_.release());
    return;
  }
  stop(Deadline::after(milliseconds{0}));
}

void StoreServer::stop(Deadline grace) {
  if (in_forked_child() || !thread_) return;
  loop_->stop(grace);
  thread_->join();
  thread_.reset();
  loop_.reset();  // closes every descriptor
}

}  // namespace smddp
