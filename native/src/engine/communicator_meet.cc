// How this rank comes together with the other members of its group.
#include <sched.h>

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <thread>
#include <utility>

#include "bootstrap/prefix_store.h"
#include "engine/communicator_impl.h"
#include "engine/connector.h"
#include "engine/runtime_impl.h"

namespace smddp {
namespace {

// For telling ranks of other hosts.
constexpr std::chrono::milliseconds kFlushTime{500};

/// Hears nothing.
class DeafSink final : public CompletionSink {
 public:
  void complete(Token, Status) override {}
  void mismatch(Rank, const Envelope&) override {}
  void notice(Rank, std::span<const std::byte>) override {}
  void peer_closed(Rank, const Status&) override {}
};

/// Tells the others that this rank has left before it took part in anything.
void leave_unused(Group& group, const Config& config) {
  group.board->set_left(group.self, 0);
  group.board->set_finished(group.self);
  group.bell->ring();
  Watch watch{group, config};
  const Notice leaving{.kind = Notice::Kind::kLeft};
  watch.broadcast(leaving);
  watch.broadcast(Notice{.kind = Notice::Kind::kFinished});
  Mailbox mailbox{group};
  mailbox.say_goodbye(leaving);
  DeafSink sink;
  const auto is_delivered = [&] {
    return (!group.transport || group.transport->delivered()) && mailbox.delivered();
  };
  for (const Deadline soon = Deadline::after(kFlushTime); !is_delivered() && !soon.passed();) {
    if (group.transport) group.transport->progress(sink);
    mailbox.progress();
    ::sched_yield();
  }
}

}  // namespace

void CommunicatorImpl::meet() {
  Phase expected = Phase::kNew;
  if (!phase_.compare_exchange_strong(expected, Phase::kConnecting)) return;
  // A thread of its own, because meeting blocks: on the engine thread two groups that their members
  // use first in different orders would wait for each other.
  std::thread{[self = shared_from_this(), runtime = runtime_.shared_from_this()] {
    self->run_connector();
    self->connector_over_.store(true);
  }}.detach();
}

void CommunicatorImpl::run_connector() {
  PrefixStore store{options_.store, "smddp/" + options_.name};
  const std::optional<Deadline> until = meeting_.wait(store, options_.world, config_.timeout);
  if (!until) return;
  Result<std::unique_ptr<Group>> group = connect_group(runtime_, options_, config_, *until);
  while (!baton_.try_take()) {
    if (closed_.load()) {  // too late: this rank has left
      if (group.ok()) leave_unused(*group.value(), config_);
      return;
    }
    ::sched_yield();
  }
  if (!group.ok()) {
    fail(group.status());
  } else {
    adopt(std::move(group).value());
    phase_.store(Phase::kReady, std::memory_order_seq_cst);
  }
  drop_baton();
}

}  // namespace smddp
