#include "device/device_group_impl.h"

#include <thread>

#include "base/fork_guard.h"
#include "base/rank_label.h"
#include "device/pieces.h"
#include "device/streams_wait.h"
#include "engine/communicator_impl.h"
#include "engine/request_check.h"
#include "plan/traits.h"

namespace smddp {
namespace {

constexpr int kTurnsOfPatience = 200;  // of 100 us

/// The operation without what belongs to its end.
Request operation_of(const Request& request) {
  return {.collective = request.collective,
          .dtype = request.dtype,
          .op = request.op,
          .root = request.root,
          .in = request.in,
          .out = request.out,
          .count = request.count,
          .counts = request.counts,
          .send_counts = request.send_counts};
}

/// Whether the ranks of each host follow those of the host before it.
bool is_in_order(const Placement& placement) {
  for (Rank rank = 0; rank + 1 < placement.world(); ++rank) {
    if (placement.host_of(rank) > placement.host_of(rank + 1)) return false;
  }
  return true;
}

bool is_float8_reduction(const Request& request) {
  const bool is_float8 =
      request.dtype == DType::kFloat8E4m3fn || request.dtype == DType::kFloat8E5m2;
  return is_float8 && is_reducing(request.collective) && !is_message(request);
}

}  // namespace

DeviceGroupImpl::DeviceGroupImpl(std::shared_ptr<cuda::Gpu> gpu, CommunicatorOptions options,
                                 const Config& config, std::shared_ptr<Communicator> messages,
                                 Maker make)
    : gpu_(std::move(gpu)),
      options_(std::move(options)),
      config_(config),
      messages_(std::move(messages)),
      pool_(std::make_shared<StagingPool>(gpu_)),
      make_(std::move(make)),
      meeting_(gpu_, options_, config_) {}

Status DeviceGroupImpl::explained(const Status& failure) const {
  return told_by(label_of(options_.labels, options_.rank), failure);
}

/// What host memory cannot do, and GPUs can, is found wrong when the ranks have met.
Status DeviceGroupImpl::check(const Request& request) const {
  if (!is_float8_reduction(request)) return check_request(request, options_.rank, options_.world);
  Request other = operation_of(request);
  other.dtype = DType::kFloat16;
  return check_request(other, options_.rank, options_.world);
}

/// Before the ranks have met, the meeting tells why not.
Status DeviceGroupImpl::refusal() const {
  const bool has_met = is_alone() || has_met_.load(std::memory_order_acquire);
  return has_met || in_forked_child() ? members_->refusal() : Status{};
}

Status DeviceGroupImpl::meet() {
  SMDDP_RETURN_IF_ERROR(refusal());
  if (is_alone() || has_met_.load(std::memory_order_acquire)) return {};
  const std::lock_guard lock{meeting_mutex_};
  if (has_met_.load()) return {};
  SMDDP_RETURN_IF_ERROR(meeting_failure_);
  Status outcome = meeting_.go_on(*members_);
  if (outcome.is_again()) return outcome;
  if (outcome.ok()) outcome = settle();
  if (outcome.ok()) return {};
  // The others shall hear of it, as they may be through with the meeting.
  members_->leave(std::chrono::milliseconds{0}, outcome.message());
  meeting_.give_up();
  return meeting_failure_ = outcome;
}

/// Keeps what the meeting has come to.
Status DeviceGroupImpl::settle() {
  member_ = meeting_.member();
  if (meeting_.way() == GpuCollectives::kHierarchical) {
    const Placement& placement = meeting_.placement();
    const int host = placement.host_of(options_.rank);
    const HostPlace place{placement.local_rank(options_.rank), placement.ranks_on_smallest_host()};
    CommunicatorOptions column{.rank = host, .world = placement.hosts(), .store = options_.store};
    column.name = options_.name + "/" + std::to_string(place.rank);
    for (int other = 0; other < placement.hosts(); ++other) {
      const Rank member = placement.ranks_on(other)[static_cast<std::size_t>(place.rank)];
      column.labels.push_back(label_of(options_.labels, member));
    }
    Result<std::unique_ptr<Communicator>> between = make_(std::move(column));
    if (!between.ok()) return between.status();
    const Hierarchy::Hosts hosts{host, placement.hosts(), is_in_order(placement)};
    hierarchy_ =
        std::make_unique<Hierarchy>(gpu_, member_, std::move(between).value(), place, hosts);
  }
  has_met_.store(true, std::memory_order_release);
  return {};
}

Work DeviceGroupImpl::submit(Request request, cuda::Stream stream) {
  if (Status refused = refusal(); !refused.ok()) return finish_at_once(request, std::move(refused));
  if (Status wrong = check(request); !wrong.ok()) return finish_at_once(request, explained(wrong));
  complete_request(request, options_.rank, options_.world);
  request.synchronous = false;
  if (request.timeout.count() <= 0) request.timeout = config_.timeout;
  const Result<bool> captured = gpu_->is_capturing(stream);
  if (!captured.ok()) return finish_at_once(request, explained(captured.status()));
  if (is_message(request)) {
    if (captured.value()) return refuse_capture(request);
    return submit_message(std::move(request), stream);
  }
  Status met = meet();
  while (met.is_again()) met = meet();
  if (!met.ok()) return finish_at_once(request, std::move(met));
  if (captured.value()) return submit_captured(std::move(request), stream);
  if (is_float8_reduction(request) && !stays_on_gpu(request)) {
    const Status wrong = check_request(request, options_.rank, options_.world);
    return finish_at_once(request, explained(wrong));
  }
  if (hierarchy_ != nullptr && is_served(request) && hierarchy_->suits(request))
    return submit_in_levels(std::move(request), stream);
  return stays_on_gpu(request) ? submit_on_stream(std::move(request), stream)
                               : submit_staged(std::move(request), stream);
}

bool DeviceGroupImpl::is_served(const Request& request) const {
  return member_ != nullptr && member_->serves(request);
}

bool DeviceGroupImpl::stays_on_gpu(const Request& request) const {
  return is_alone() || (hierarchy_ == nullptr && is_served(request));
}

Work DeviceGroupImpl::refuse_capture(Request& request) const {
  const std::string what{is_message(request) ? "message"
                                             : std::string{name_of(request.collective)}};
  const std::string way = !is_message(request) && stays_on_gpu(request)
                              ? "by kernels that wait for other ranks"
                              : "through host memory";
  return finish_at_once(
      request, explained({StatusCode::kInvalidArgument,
                          what + ": it cannot be captured in a CUDA graph, because it goes " + way +
                              "; collectives can where NCCL serves all ranks"}));
}

// A graph runs as often as its user likes, and when he likes: there is no end to look for here.
Work DeviceGroupImpl::submit_captured(Request request, cuda::Stream stream) {
  const bool can_be_captured = is_alone() || (member_ != nullptr && member_->can_be_captured());
  if (!can_be_captured || !stays_on_gpu(request)) return refuse_capture(request);
  const std::lock_guard lock{order_};
  if (member_ != nullptr) {
    StreamsWait::for_good();  // nobody knows when graphs run
    member_->set_captured();
  }
  // While NCCL makes connections, so that the dead are noticed.
  members_->set_waiting(true);
  const Deadline deadline = Deadline::after(request.timeout);
  const Status captured = put_on_stream(
      request, stream, [&] { return deadline.passed() || !members_->refusal().ok(); });
  members_->set_waiting(false);
  const Status refused = members_->refusal();
  return finish_at_once(request, captured.ok() || refused.ok() ? captured : refused);
}

Work DeviceGroupImpl::submit_on_stream(Request request, cuda::Stream stream) {
  const Request operation = operation_of(request);
  return look_after(std::move(request), stream, [&](const auto& part) {
    return put_on_stream(operation, stream, [&] { return part->has_ended(); });
  });
}

Work DeviceGroupImpl::submit_in_levels(Request request, cuda::Stream stream) {
  Request operation = operation_of(request);
  operation.timeout = request.timeout;
  return look_after(std::move(request), stream, [&](const auto& part) {
    const Hierarchy::Ends ends{.owner = shared_from_this(),
                               .pool = *pool_,
                               .is_over = [&] { return part->has_ended(); },
                               .on_failure = [part](const Status& why) { part->set_failed(why); }};
    return hierarchy_->enqueue(operation, stream, ends);
  });
}

/// Lets the engine look after what `put` puts on the stream.
Work DeviceGroupImpl::look_after(Request request, cuda::Stream stream, const Put& put) {
  const auto part =
      std::make_shared<StreamOperation>(gpu_, member_, std::exchange(request.keep_alive, nullptr));
  request.keep_alive = part;  // so that it is not dropped on the engine thread
  request.device_part = part;
  const std::lock_guard lock{order_};
  // First, so that the engine looks after it while NCCL makes connections.
  last_ = members_->submit(std::move(request));
  if (part->has_ended()) return last_;
  if (const Status begun = put(part); begun.ok()) {
    part->set_enqueued(stream);
  } else {
    part->set_failed(begun);
    members_->wake();
  }
  return last_;
}

Status DeviceGroupImpl::put_on_stream(const Request& request, cuda::Stream stream,
                                      const std::function<bool()>& is_over) {
  if (!is_alone()) return member_->enqueue({&request, 1}, stream, is_over);
  if (request.in == nullptr || request.out == nullptr) return {};
  const std::size_t count = out_count(request, options_.rank, options_.world);
  return gpu_->copy_on_device(request.out, request.in, count * size_of(request.dtype), stream);
}

// Pieces are brought one after the other, so that the engine is at the first while the GPU copies
// the next; then their results are taken. A failure of a piece is that of all after it.
Work DeviceGroupImpl::submit_staged(Request request, cuda::Stream stream) {
  StagedOperations pieces;
  for (Request& piece : pieces_of(std::move(request))) pieces.push_back(staged(std::move(piece)));
  const std::lock_guard lock{order_};
  if (bring_all(pieces, *pool_, stream).ok()) static_cast<void>(take_all(pieces, stream));
  for (const auto& piece : pieces) last_ = members_->submit(piece->on_host());
  return last_;
}

Work DeviceGroupImpl::submit_message(Request request, cuda::Stream stream) {
  if (messages_ == nullptr) {
    return finish_at_once(
        request, explained({StatusCode::kInvalidArgument, "this group carries no messages"}));
  }
  const bool is_send = request.message == MessageSide::kSend;
  const auto operation = staged(std::move(request));
  const std::lock_guard lock{order_};
  if (operation->bring(*pool_, stream).ok()) static_cast<void>(operation->take(stream));
  if (is_send) last_send_ = operation;
  return messages_->submit(operation->on_host());
}

std::shared_ptr<StagedOperation> DeviceGroupImpl::staged(Request request) {
  const std::size_t width = size_of(request.dtype);
  StagedOperation::Extent extent;
  if (is_message(request)) {
    const bool is_send = request.message == MessageSide::kSend;
    (is_send ? extent.in : extent.out) = request.count * width;
  } else {
    extent.in = in_count(request, options_.rank, options_.world) * width;
    extent.out = out_count(request, options_.rank, options_.world) * width;
  }
  if (request.collective == Collective::kBroadcast && !is_message(request) &&
      request.root == options_.rank) {
    extent.in = extent.out;
    if (request.in == request.out) extent.out = 0;
  }
  return std::make_shared<StagedOperation>(shared_from_this(), gpu_, std::move(request), extent);
}

// What streams and kernels wait for will not come any more.
void DeviceGroupImpl::fail(const Status& failure) {
  if (!has_met_.load(std::memory_order_acquire)) return;
  if (hierarchy_ != nullptr) hierarchy_->abandon(failure.message());
  if (member_ != nullptr) member_->abort();
}

Status DeviceGroupImpl::finish() {
  if (in_forked_child()) return {};
  Work last{Status{}};
  std::shared_ptr<StagedOperation> send;
  {
    const std::lock_guard lock{order_};
    last = last_;
    send = last_send_.lock();
  }
  if (last.wait(Deadline::never()).is_again()) return Status::again();
  for (int turn = 0; send != nullptr && !send->is_off_stream(); ++turn) {
    if (turn == kTurnsOfPatience) return Status::again();
    std::this_thread::sleep_for(std::chrono::microseconds{100});
  }
  return {};
}

void DeviceGroupImpl::leave(std::chrono::milliseconds grace, const std::string& why) {
  if (in_forked_child()) return;
  const Deadline deadline = Deadline::after(grace);
  members_->leave(grace, why);
  if (!has_met_.load(std::memory_order_acquire)) {
    const std::lock_guard lock{meeting_mutex_};  // whoever meets hears that this rank leaves
    return meeting_.give_up();
  }
  const auto rest = [&] {
    return std::chrono::duration_cast<std::chrono::milliseconds>(deadline.remaining(grace));
  };
  if (hierarchy_ != nullptr) hierarchy_->leave(rest());
  if (member_ == nullptr) return;
  // NCCL waits for its kernels, and one of these may stand behind a receive.
  if (messages_ != nullptr) messages_->leave(rest(), why);
  member_->leave(deadline);
}

std::string DeviceGroupImpl::transport() const {
  if (is_alone()) return "none";
  if (!has_met_.load(std::memory_order_acquire)) return "unconnected";
  if (member_ != nullptr)
    return std::string{member_->name()} + (hierarchy_ != nullptr ? "+host" : "");
  const std::string between = members_->transport();
  return between == "unconnected" ? between : "host+" + between;
}

}  // namespace smddp
