#include "engine/communicator_impl.h"

#include <algorithm>
#include <utility>

#include "base/fork_guard.h"
#include "base/log.h"
#include "base/rank_label.h"
#include "engine/connector.h"
#include "engine/device_part.h"
#include "engine/request_check.h"
#include "engine/runtime_impl.h"

namespace smddp {
namespace {

// After a failure, this long is spent on telling the ranks of other hosts.
constexpr std::chrono::seconds kFaultFlush{1};
// After a failure, a peer that is writing into this rank's registered memory stops at the end of
// its turn, which is some 50 us unless the scheduler takes its processor away.
constexpr std::chrono::milliseconds kWritersGrace{250};

}  // namespace

Work finish_at_once(Request& request, Status outcome) {
  if (request.device_part) request.device_part->end(outcome);
  if (request.on_complete) request.on_complete(outcome);
  return Work{std::move(outcome)};
}

CommunicatorImpl::CommunicatorImpl(RuntimeImpl& runtime, CommunicatorOptions options,
                                   const Config& config)
    : runtime_(runtime), options_(std::move(options)), config_(config) {
  if (options_.world == 1) {
    adopt(make_lonely_group(runtime_, config_));
    phase_ = Phase::kReady;
  }
}

CommunicatorImpl::~CommunicatorImpl() = default;

std::string CommunicatorImpl::prefix() const {
  return "rank " + std::to_string(label_of(options_.labels, options_.rank)) + " (" +
         runtime_.host_name() + "): ";
}

// ---- any thread ----

Status CommunicatorImpl::refusal() const {
  if (in_forked_child()) {
    return Status{
        StatusCode::kState,
        prefix() +
            "this process was forked from the one that initialised smddp, and cannot use its "
            "communicators; start it with the \"spawn\" method"};
  }
  if (failed_.load(std::memory_order_acquire)) return failure_;
  if (leaving_.load()) {
    return Status{StatusCode::kState,
                  prefix() + "this rank has left the group \"" + options_.name + "\""};
  }
  return Status{};
}

Work CommunicatorImpl::submit(Request&& request) {
  if (Status refused = refusal(); !refused.ok()) return finish_at_once(request, std::move(refused));
  if (Status wrong = check_request(request, options_.rank, options_.world); !wrong.ok()) {
    return finish_at_once(request, Status{wrong.code(), prefix() + wrong.message()});
  }
  complete_request(request, options_.rank, options_.world);
  if (request.timeout.count() <= 0) request.timeout = config_.timeout;
  if (phase_.load(std::memory_order_acquire) != Phase::kReady) {
    meeting_.need(Deadline::after(request.timeout));
    meet();
  }
  if (is_message(request)) return submit_message(std::move(request));
  if (request.synchronous && request.device_part == nullptr) {
    if (auto work = try_inline(request)) return *std::move(work);
  }
  return enqueue(std::move(request));
}

Work CommunicatorImpl::enqueue(Request request) {
  pending_.fetch_add(1, std::memory_order_seq_cst);
  // Either `leave` sees the count and waits for the push, or we see that it is too late.
  if (closed_.load(std::memory_order_seq_cst)) {
    pending_.fetch_sub(1);
    return finish_at_once(request, refusal());
  }
  const Deadline deadline = Deadline::after(request.timeout);
  auto work = std::make_shared<WorkState>(std::move(request), deadline);
  work->self = work;
  queue_.push(work.get());
  runtime_.progress().wake();
  runtime_.completions().note_start();
  return Work{std::move(work)};
}

// The caller becomes the baton's holder and drives its operation, because a hop to another thread
// costs more than a small operation. It does so only when nothing is queued or running, which keeps
// the order of operations.
std::optional<Work> CommunicatorImpl::try_inline(Request& request) {
  if (phase_.load(std::memory_order_acquire) != Phase::kReady) return std::nullopt;
  if (pending_.load(std::memory_order_seq_cst) != 0 || !baton_.try_take()) return std::nullopt;
  // A failed group starts nothing; what is queued there ends with the failure.
  if (pending_.load(std::memory_order_seq_cst) != 0 || failed_.load()) {
    drop_baton();
    return std::nullopt;
  }
  start(request);
  drive_inline(request);
  if (running_) return hand_over(request);
  Status outcome = std::move(inline_outcome_);
  drop_baton();
  return finish_at_once(request, std::move(outcome));
}

Work CommunicatorImpl::connect() {
  return submit(Request{.collective = Collective::kBarrier, .synchronous = true});
}

std::string CommunicatorImpl::transport() const {
  return phase_.load() == Phase::kReady && !leaving_.load() ? group_->transport_name
                                                            : "unconnected";
}

int CommunicatorImpl::hosts() const {
  return phase_.load() == Phase::kReady && !leaving_.load() ? group_->placement.hosts() : 0;
}

Topology CommunicatorImpl::topology() const {
  return phase_.load() == Phase::kReady && !leaving_.load() ? group_->topology : Topology{};
}

// ---- engine thread: it looks again by itself, so it does not wake anybody when it drops the baton
// ----

bool CommunicatorImpl::drive() {
  if (!is_busy() || !baton_.try_take()) return false;
  const bool moved = step();
  baton_.drop();
  return moved;
}

// ---- baton ----

void CommunicatorImpl::take_baton() {
  while (!baton_.try_take()) ::sched_yield();
}

// Whoever else drops the baton with work left wakes the engine thread.
void CommunicatorImpl::drop_baton() {
  baton_.drop();
  if (is_busy()) runtime_.progress().wake();
}

void CommunicatorImpl::adopt(std::unique_ptr<Group> group) {
  group_ = std::move(group);
  watch_ = std::make_unique<Watch>(*group_, config_);
  execution_ = std::make_unique<Execution>(group_->provider.get(), group_->transport.get());
  if (group_->transport != nullptr) {
    if (Status status = group_->transport->watch(runtime_.progress().poller()); !status.ok())
      fail(status);
  }
  if (options_.world == 1) return;
  mailbox_ = std::make_unique<Mailbox>(*group_);
  message_watch_ = std::make_unique<MessageWatch>(*group_, config_, *watch_, *mailbox_);
  if (group_->messages_between != nullptr) {
    Status status = group_->messages_between->watch(runtime_.progress().poller());
    if (!status.ok()) fail(status);
  }
}

void CommunicatorImpl::drive_inline(const Request& request) {
  const bool shares_memory = group_->provider != nullptr;
  InlineWait wait{group_->transport != nullptr};
  bool told = !request.before_waiting;
  for (bool crowded = false; running_ && !wait.exhausted(crowded);) {
    const bool moved = advance();
    if ((has_messages() && advance_messages()) || moved) {
      wait.reset();
      continue;
    }
    crowded = shares_memory && group_->provider->shares_processor();
    if (wait.is_long(crowded) && !std::exchange(told, true)) request.before_waiting();
    if (crowded) group_->provider->move_apart();
    if (wait.step(crowded, only_news())) inspect();
  }
}

/// What brings all that the running operation and the messages wait for, if one can sleep on it;
/// null when there are several such sources, or another one.
Transport* CommunicatorImpl::only_news() const noexcept {
  Transport* const transport = group_->transport.get();
  if (transport == nullptr || !transport->can_sleep()) return nullptr;
  const bool only_messages =
      execution_->waits_for_messages() && !has_messages() && !dependent_waits_.load();
  return only_messages ? transport : nullptr;
}

Work CommunicatorImpl::hand_over(Request& request) {
  current_ = std::make_shared<WorkState>(std::move(request), watch_->deadline());
  execution_->rebind(current_->request);
  pending_.fetch_add(1, std::memory_order_seq_cst);
  Work work{current_};
  drop_baton();
  return work;
}

bool CommunicatorImpl::step() {
  bool moved = false;
  if (phase_.load(std::memory_order_acquire) == Phase::kReady || failed_.load()) {
    if (!running_) moved = start_next();
    if (running_) moved |= advance();
    if (has_messages() || is_vigilant()) moved |= advance_messages();
  }
  if (telling_until_ && go_on_telling()) moved = true;
  return moved;
}

bool CommunicatorImpl::start_next() {
  WorkState* next = queue_.try_pop();
  if (next == nullptr) return false;
  std::shared_ptr<WorkState> work = std::move(next->self);
  if (failed_.load()) {
    pending_.fetch_sub(1);
    deliver(std::move(work), failure_);
    return true;
  }
  current_ = std::move(work);
  const Deadline deadline = current_->deadline;
  start(current_->request);
  if (running_) watch_->set_deadline(deadline);  // else it has failed already
  return true;
}

void CommunicatorImpl::start(const Request& request) {
  running_ = true;
  const Signature signature = to_signature(request, sequence_++);
  watch_->begin(signature, request);
  if (request.device_part == nullptr) {
    carry_out(request, signature);
  } else {
    awaits_device_.store(true, std::memory_order_relaxed);
  }
  if (group_->board->has_fault()) inspect();
}

void CommunicatorImpl::carry_out(const Request& request, const Signature& signature) {
  const Plan& plan = plans_.get(request, *group_);
  const Status started = execution_->start(plan, request, signature);
  if (!started.ok()) fail(started);
}

bool CommunicatorImpl::advance() {
  if (awaits_device_.load(std::memory_order_relaxed)) return advance_device();
  Result<bool> started = execution_->advance();
  if (!started.ok()) {
    fail(started.status());
    return true;
  }
  bool moved = started.value();
  if (group_->provider != nullptr) moved |= advance_provider();
  if (running_ && group_->transport != nullptr) moved |= group_->transport->progress(*this);
  if (running_ && execution_->is_over()) finish_current(Status{});
  return moved;
}

bool CommunicatorImpl::advance_provider() {
  // After a failure a peer's user may do with its arrays what he likes.
  if (group_->provider->writes_to_peers() && group_->board->has_fault()) {
    inspect();
    if (!running_) return true;
  }
  return group_->provider->progress(*this);
}

void CommunicatorImpl::finish_current(Status outcome) {
  running_ = false;
  if (awaits_device_.load(std::memory_order_relaxed)) awaits_device_ = false;
  watch_->end();
  if (current_ != nullptr) {
    pending_.fetch_sub(1);
    deliver(std::move(current_), outcome);
  } else {
    inline_outcome_ = std::move(outcome);
  }
}

void CommunicatorImpl::deliver(std::shared_ptr<WorkState> work, const Status& outcome) {
  work->finish(outcome);
  // The last reference to a user's buffers must not be dropped here.
  if (work->request.on_complete || work->request.keep_alive)
    runtime_.completions().hand_over(std::move(work));
}

void CommunicatorImpl::inspect() {
  // The fault of another host, where it sits behind data that this rank has not come to.
  const bool is_between_hosts = mailbox_ && group_->messages_between != nullptr;
  if (running_ && is_between_hosts && !failed_.load()) advance_messages();
  if (running_) {
    if (Status fault = watch_->inspect(*execution_); !fault.ok()) fail(fault);
  }
  const bool looks = has_messages() || is_vigilant();
  if (looks && message_watch_ && !failed_.load()) inspect_messages();
  if (is_vigilant() && !failed_.load()) ask_dependent();
}

void CommunicatorImpl::fail(const Status& found) {
  if (failed_.load()) return;
  Status recorded = found;
  if (group_ != nullptr) {
    recorded = watch_->report_own(found);
    if (group_->provider != nullptr) await_writers();
    if (group_->transport != nullptr) tell_others(group_->board->fault());
  }
  failure_ = Status{recorded.code(), prefix() + recorded.message()};
  failed_.store(true, std::memory_order_release);
  log_line(LogLevel::kInfo, failure_.message());
  if (running_) finish_current(failure_);
  if (mailbox_) {
    for (auto& work : mailbox_->abandon()) end_message(std::move(work), failure_);
    for (auto& work : std::exchange(awaited_sends_, {})) end_message(std::move(work), failure_);
  }
  tell_dependent();
}

// The user gets arrays back that nobody writes to any more. A peer that is stopped in the middle of
// a call would be waited for in vain.
void CommunicatorImpl::await_writers() {
  group_->provider->abandon();
  const Deadline enough = Deadline::after(kWritersGrace);
  const auto is_alive = [this](Rank rank) {
    const auto local = static_cast<std::size_t>(group_->placement.local_rank(rank));
    PeerProcess* const peer = group_->bell->peers()[local].get();
    return peer != nullptr && !peer->has_died();
  };
  for (;;) {
    const std::vector<Rank> writers = group_->provider->writers();
    if (std::none_of(writers.begin(), writers.end(), is_alive) || enough.passed()) return;
    ::sched_yield();
  }
}

void CommunicatorImpl::tell_others(const Fault& fault) {
  group_->transport->abandon();
  const Notice notice{.kind = Notice::Kind::kFault,
                      .operations = fault.sequence,
                      .code = fault.status.code(),
                      .text = fault.status.message()};
  watch_->broadcast(notice);
  if (mailbox_) mailbox_->tell_of_fault(notice);
  telling_until_ = Deadline::after(kFaultFlush);
  pending_.fetch_add(1);
}

bool CommunicatorImpl::go_on_telling() {
  bool moved = group_->transport->progress(*this);
  moved |= mailbox_->progress();
  const bool flushed = group_->transport->flushed() && group_->messages_between->flushed();
  if (flushed || telling_until_->passed()) {
    telling_until_.reset();
    pending_.fetch_sub(1);
  }
  return moved;
}

void CommunicatorImpl::complete(Token token, Status status) {
  if (!running_) return;
  if (status.ok()) {
    execution_->complete(token);
  } else {
    fail(status);
  }
}

void CommunicatorImpl::mismatch(Rank peer, const Envelope& theirs) {
  if (!running_) return;
  watch_->on_mismatch(peer, theirs);
  inspect();
}

void CommunicatorImpl::notice(Rank peer, std::span<const std::byte> bytes) {
  watch_->on_notice(peer, bytes);
  if (group_->board->has_fault()) inspect();
}

void CommunicatorImpl::peer_closed(Rank peer, const Status& why) {
  watch_->on_closed(peer, why);
  inspect();
}

}  // namespace smddp
