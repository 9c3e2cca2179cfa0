#include "device/device_turns.h"

#include <algorithm>
#include <iterator>
#include <system_error>
#include <thread>
#include <utility>

#include "smddp/deadline.h"

#include "base/fork_guard.h"
#include "base/rank_label.h"
#include "provider/cuda/driver.h"

namespace smddp {
namespace {

constexpr std::chrono::microseconds kBetweenLooks{50};
/// How long a stream may take to go on after a failure, before its memory is given up.
constexpr std::chrono::seconds kGraceAfterFailure{5};
/// What the thread gets for its end after the grace, as communicators do.
constexpr std::chrono::milliseconds kClosingTime{500};

using Complete = std::function<void(const Status&)>;

// Functions, as the thread may outlive static objects.
Status left() { return {StatusCode::kState, "the group was left"}; }
Status forked() {
  return {StatusCode::kState,
          "this process was forked from one that uses smddp, and cannot use it itself; start it "
          "with spawn"};
}

}  // namespace

struct DeviceTurns::Turn {
  Turn(std::string with_key, DeviceRequest request)
      : key(std::move(with_key)), what(std::move(request)) {}
  ~Turn() {
    if (event != nullptr) gpu->destroy(event);
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  void end(const Status& outcome) {
    if (const Complete last = std::exchange(what.request.on_complete, nullptr)) last(outcome);
  }

  const std::string key;
  DeviceRequest what;
  std::uint32_t ranks = 1;  ///< that come to it: what the order's group sums
  std::shared_ptr<cuda::Gpu> gpu;
  /// Where the caller's stream was at the submission, and then where ours is behind the turn.
  cuda::Event event = nullptr;
  Status failure;  ///< of what was to be put on our stream behind it
  // Under the mutex of the turns.
  bool is_queued = false;
  Status agreed = Status::again();
};

DeviceTurns::DeviceTurns(std::shared_ptr<KeyedCommunicator> order,
                         std::chrono::milliseconds timeout, Maker make)
    : order_(std::move(order)), timeout_(timeout), make_(std::move(make)) {}

DeviceTurns::~DeviceTurns() {
  if (gpu_ != nullptr && !in_forked_child()) gpu_->destroy_stream(stream_);
}

Status DeviceTurns::explained(const Status& outcome) const {
  return told_by(order_->rank(), outcome);
}

// ---- submission ----

void DeviceTurns::submit(const std::string& key, DeviceRequest request) {
  if (request.request.name.empty()) request.request.name = key;
  if (request.request.timeout.count() <= 0) request.request.timeout = timeout_;
  const auto turn = std::make_shared<Turn>(key, std::move(request));
  // Checked before any lock, which the parent may have held.
  Status ready = in_forked_child() ? forked() : Status{};
  if (ready.ok()) ready = begin(turn->what.ordinal);
  if (ready.ok()) ready = mark(*turn);
  if (!ready.ok()) return turn->end(explained(ready));
  Request sum;
  sum.collective = Collective::kAllReduce;
  sum.dtype = DType::kUint32;
  sum.in = sum.out = &turn->ranks;
  sum.count = 1;
  sum.timeout = turn->what.request.timeout;
  sum.name = turn->what.request.name + " (on a GPU)";
  sum.on_complete = [self = shared_from_this(), turn](const Status& outcome) {
    self->on_agreed(turn, outcome);
  };
  order_->submit(key, std::move(sum), [self = shared_from_this(), turn] {
    const std::lock_guard lock{self->mutex_};
    turn->is_queued = true;
    self->turns_.push_back(turn);
  });
}

Status DeviceTurns::begin(int ordinal) {
  const std::lock_guard lock{begin_mutex_};
  if (is_leaving_) return left();
  if (gpu_ == nullptr) SMDDP_RETURN_IF_ERROR(open_gpu(ordinal));
  if (gpu_->ordinal() != ordinal) {
    return {StatusCode::kInvalidArgument,
            "the tensor is on GPU " + std::to_string(ordinal) + ", but this rank works on GPU " +
                std::to_string(gpu_->ordinal()) +
                "; a rank has one GPU: let it see no other "
                "(tf.config.set_visible_devices, or CUDA_VISIBLE_DEVICES)"};
  }
  const std::lock_guard running{mutex_};
  if (running_ || stopping_) return {};
  try {
    thread_ = std::thread{[self = shared_from_this()] { self->run(); }};
    running_ = true;
  } catch (const std::system_error& error) {
    return {StatusCode::kSystem,
            std::string{"no thread can be started for the GPU: "} + error.what()};
  }
  return {};
}

Status DeviceTurns::open_gpu(int ordinal) {
  const Result<cuda::DriverTable> driver = cuda::load_driver();
  if (!driver.ok()) return driver.status();
  Result<std::shared_ptr<cuda::Gpu>> gpu = cuda::Gpu::open(driver.value(), ordinal);
  if (!gpu.ok()) return gpu.status();
  const Result<cuda::Stream> stream = gpu.value()->make_stream();
  if (!stream.ok()) return stream.status();
  stream_ = stream.value();
  gpu_ = std::move(gpu).value();
  detour_ = std::make_unique<HostDetour>(gpu_, order_);
  return {};
}

/// Notes how far the caller's stream has come.
Status DeviceTurns::mark(Turn& turn) const {
  const Result<cuda::Event> event = gpu_->make_event();
  if (!event.ok()) return event.status();
  turn.gpu = gpu_;
  turn.event = event.value();
  return gpu_->record(turn.event, turn.what.after);
}

void DeviceTurns::on_agreed(const std::shared_ptr<Turn>& turn, const Status& outcome) {
  {
    const std::lock_guard lock{mutex_};
    turn->agreed = outcome;
    if (turn->is_queued && running_) return changed_.notify_all();
    std::erase(turns_, turn);
  }
  // The group has failed before its turn came, or was left.
  turn->end(outcome.ok() ? explained(left()) : outcome);
}

// ---- turns ----

void DeviceTurns::run() {
  std::vector<Passing> passing;
  for (;;) {
    std::shared_ptr<Turn> turn;
    {
      Lock lock{mutex_};
      const auto has_next = [&] {
        return (!turns_.empty() && !turns_.front()->agreed.is_again()) || !ended_.empty();
      };
      const auto is_over = [&] { return stopping_ && turns_.empty() && ending_ == 0; };
      if (passing.empty()) {
        changed_.wait(lock, [&] { return has_next() || is_over(); });
      } else {
        changed_.wait_for(lock, kBetweenLooks, has_next);
      }
      if (!has_next() && is_over()) {
        running_ = false;
        return changed_.notify_all();
      }
      std::move(ended_.begin(), ended_.end(), std::back_inserter(passing));
      ended_.clear();
      if (!turns_.empty() && !turns_.front()->agreed.is_again()) {
        turn = std::move(turns_.front());
        turns_.pop_front();
        carrying_ = true;
      }
    }
    if (turn != nullptr) carry_out(turn);
    const auto over = std::erase_if(passing, [this](Passing& one) { return look(one); });
    const Lock lock{mutex_};
    ending_ -= over;
    carrying_ = false;
    changed_.notify_all();  // who leaves
  }
}

void DeviceTurns::carry_out(const std::shared_ptr<Turn>& turn) {
  if (!turn->agreed.ok()) return turn->end(turn->agreed);
  Status begun = failure_;
  const bool all_are_here = turn->ranks == static_cast<std::uint32_t>(order_->world());
  // First of all, as only who has met can tell the others that something fails.
  if (begun.ok() && all_are_here) begun = meet();
  if (begun.ok()) begun = explained(gpu_->wait_for(turn->event, stream_));
  if (begun.ok()) begun = explained(copy(turn->what.before));
  if (begun.ok()) begun = all_are_here ? carry_out_on_gpu(turn) : carry_out_on_host(*turn);
  if (begun.ok()) return;
  static_cast<void>(gpu_->record(turn->event, stream_));
  will_end_behind();
  end_behind(turn, begun);
  if (failure_.ok()) give_up(begun);
}

/// A turn that this rank has agreed to has failed here: with any later one it would be a collective
/// ahead of the others, who are to hear of it.
void DeviceTurns::give_up(const Status& failure) {
  failure_ = failure;
  order_->leave(std::chrono::milliseconds{0}, failure.message());
  if (DeviceGroup* const group = take_leave()) {
    group->leave(std::chrono::milliseconds{0}, failure.message());
  }
}

Status DeviceTurns::carry_out_on_gpu(const std::shared_ptr<Turn>& turn) {
  const Result<DeviceGroup*> group = this->group();
  if (!group.ok()) return explained(group.status());
  Request request = turn->what.request;
  const std::vector<DeviceCopy>& behind = turn->what.behind;
  if (behind.empty()) {
    request.on_complete = [turn](const Status& outcome) { turn->end(outcome); };
  } else {
    // What it ends with is looked at when this thread has put all on the stream.
    will_end_behind();
    request.on_complete = [self = shared_from_this(), turn](const Status& outcome) {
      self->end_behind(turn, outcome);
    };
  }
  const Status begun = group.value()->submit(std::move(request), stream_).status();
  if (!behind.empty()) {
    Status put = copy(behind);
    if (put.ok()) put = gpu_->record(turn->event, stream_);
    turn->failure = explained(put);
  }
  // What all ranks call wrong in the same way takes none of them ahead of the others.
  const bool is_over =
      !begun.ok() && !begun.is_again() && begun.code() != StatusCode::kInvalidArgument;
  if (is_over && failure_.ok()) give_up(begun);
  return {};
}

void DeviceTurns::will_end_behind() {
  const std::lock_guard lock{mutex_};
  ++ending_;
}

/// The turn has ended, but for what the stream does behind it.
void DeviceTurns::end_behind(const std::shared_ptr<Turn>& turn, const Status& outcome) {
  const auto patience =
      outcome.ok() ? turn->what.request.timeout
                   : std::chrono::duration_cast<std::chrono::milliseconds>(kGraceAfterFailure);
  const std::lock_guard lock{mutex_};
  ended_.push_back({turn, outcome, Deadline::after(patience)});
  changed_.notify_all();
}

/// Whether a turn that has ended is over.
bool DeviceTurns::look(Passing& one) const {
  Status behind = one.turn->failure.ok() ? gpu_->query(one.turn->event) : one.turn->failure;
  if (behind.is_again() && !one.deadline.passed()) return false;
  if (behind.is_again()) behind = explained(stuck_status());
  if (!behind.ok()) keep_for_good(one.turn->what.request.keep_alive);
  one.turn->end(one.outcome.ok() ? behind : one.outcome);
  return true;
}

Status DeviceTurns::carry_out_on_host(Turn& turn) {
  const Request& request = turn.what.request;
  SMDDP_RETURN_IF_ERROR(detour_->run(turn.key, request, stream_));
  SMDDP_RETURN_IF_ERROR(explained(copy(turn.what.behind)));
  SMDDP_RETURN_IF_ERROR(detour_->wait_for(stream_, request.timeout, request.keep_alive));
  turn.end({});
  return {};
}

Status DeviceTurns::copy(const std::vector<DeviceCopy>& copies) const {
  for (const DeviceCopy& one : copies)
    SMDDP_RETURN_IF_ERROR(gpu_->copy_on_device(one.to, one.from, one.bytes, stream_));
  return {};
}

// ---- the group, and its end ----

Result<DeviceGroup*> DeviceTurns::group() {
  const std::lock_guard lock{group_mutex_};
  if (has_left_) return left();
  if (group_ == nullptr) {
    Result<std::unique_ptr<DeviceGroup>> made = make_(gpu_->ordinal());
    if (!made.ok()) return made.status();
    group_ = std::move(made).value();
  }
  return group_.get();
}

/// Meets the other ranks, the first time.
Status DeviceTurns::meet() {
  const Result<DeviceGroup*> group = this->group();
  if (!group.ok()) return explained(group.status());
  Status met = group.value()->meet();
  while (met.is_again()) met = group.value()->meet();
  return met;
}

std::string DeviceTurns::transport() const {
  if (in_forked_child()) return "unconnected";
  const std::lock_guard lock{group_mutex_};
  return group_ == nullptr ? "unconnected" : group_->transport();
}

/// The group, to whoever is the first to leave it.
DeviceGroup* DeviceTurns::take_leave() {
  const std::lock_guard lock{group_mutex_};
  return std::exchange(has_left_, true) ? nullptr : group_.get();
}

void DeviceTurns::leave(std::chrono::milliseconds grace, const std::string& why) {
  if (in_forked_child() || is_leaving_.exchange(true)) return;
  const Deadline deadline = Deadline::after(grace);
  const auto rest = [&] {
    return std::chrono::duration_cast<std::chrono::milliseconds>(deadline.remaining(grace));
  };
  bool is_own_thread = false;
  {
    const std::lock_guard lock{mutex_};
    if (!running_) {
      stopping_ = true;
      return;  // no tensor of a GPU has come; the order's group is its owner's to leave
    }
    is_own_thread = thread_.get_id() == std::this_thread::get_id();
  }
  // What all ranks have agreed on the others are at as well.
  if (!is_own_thread) wait_until_idle(rest());
  order_->leave(rest(), why);
  if (!is_own_thread) wait_until_idle(rest());
  // The thread may wait for other ranks, until this.
  if (DeviceGroup* const group = take_leave()) group->leave(rest(), why);
  Lock lock{mutex_};
  stopping_ = true;
  changed_.notify_all();
  const auto has_ended = [this] { return !running_; };
  std::thread thread = std::move(thread_);
  const bool ended =
      !is_own_thread && changed_.wait_for(lock, std::max(rest(), kClosingTime), has_ended);
  lock.unlock();
  if (ended) return thread.join();
  thread.detach();  // it keeps what it needs, and ends with what it is at
}

/// Until the thread has nothing to do that all ranks have agreed on.
void DeviceTurns::wait_until_idle(std::chrono::milliseconds timeout) {
  Lock lock{mutex_};
  changed_.wait_for(lock, timeout, [this] {
    const bool has_next = !turns_.empty() && turns_.front()->agreed.ok();
    return !running_ || (!has_next && !carrying_ && ending_ == 0);
  });
}

}  // namespace smddp
