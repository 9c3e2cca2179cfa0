#include "device/host_detour.h"

#include <cstddef>
#include <future>
#include <thread>

#include "smddp/deadline.h"

#include "base/rank_label.h"
#include "engine/request_check.h"

namespace smddp {
namespace {

constexpr std::chrono::microseconds kBetweenLooks{50};

/// What a collective reads and writes here, in bytes.
struct Extent {
  std::size_t in;
  std::size_t out;
};

Extent extent_of(const Request& request, Rank self, int world) {
  const std::size_t width = size_of(request.dtype);
  Extent extent{in_count(request, self, world) * width, out_count(request, self, world) * width};
  if (request.collective == Collective::kBroadcast)
    extent.in = request.root == self ? extent.out : 0;
  return extent;
}

}  // namespace

Status stuck_status() {
  return {StatusCode::kTimeout, "the GPU has not come to a collective in time"};
}

HostDetour::HostDetour(std::shared_ptr<const cuda::Gpu> gpu,
                       std::shared_ptr<KeyedCommunicator> order)
    : gpu_(std::move(gpu)), order_(std::move(order)), pool_(std::make_shared<StagingPool>(gpu_)) {}

Status HostDetour::run(const std::string& key, Request request, cuda::Stream stream) const {
  SMDDP_RETURN_IF_ERROR(
      told_by(order_->rank(), check_request(request, order_->rank(), order_->world())));
  complete_request(request, order_->rank(), order_->world());
  const Extent extent = extent_of(request, order_->rank(), order_->world());
  Result<Staging> memory = pool_->take(extent.in + extent.out);
  if (!memory.ok()) return told_by(order_->rank(), memory.status());
  const auto kept = std::make_shared<std::pair<Staging, std::shared_ptr<void>>>(
      std::move(memory).value(), request.keep_alive);
  std::byte* const in = kept->first.data();
  std::byte* const out = in + extent.in;
  SMDDP_RETURN_IF_ERROR(
      told_by(order_->rank(), gpu_->copy_to_host(in, request.in, extent.in, stream)));
  SMDDP_RETURN_IF_ERROR(wait_for(stream, request.timeout, kept));
  Request on_host = request;
  on_host.in = in;
  on_host.out = out;
  std::promise<Status> done;
  on_host.on_complete = [&done](const Status& outcome) { done.set_value(outcome); };
  order_->submit(key + " (on hosts)", std::move(on_host));
  SMDDP_RETURN_IF_ERROR(done.get_future().get());
  SMDDP_RETURN_IF_ERROR(
      told_by(order_->rank(), gpu_->copy_to_device(request.out, out, extent.out, stream)));
  return wait_for(stream, request.timeout, kept);
}

Status HostDetour::wait_for(cuda::Stream stream, std::chrono::milliseconds timeout,
                            const std::shared_ptr<void>& memory) const {
  const Result<cuda::Event> event = gpu_->make_event();
  if (!event.ok()) return told_by(order_->rank(), event.status());
  const Deadline deadline = Deadline::after(timeout);
  Status come = gpu_->record(event.value(), stream);
  if (come.ok()) come = gpu_->query(event.value());
  while (come.is_again() && !deadline.passed()) {
    std::this_thread::sleep_for(kBetweenLooks);
    come = gpu_->query(event.value());
  }
  gpu_->destroy(event.value());
  if (!come.is_again()) return told_by(order_->rank(), come);
  keep_for_good(memory);
  return told_by(order_->rank(), stuck_status());
}

}  // namespace smddp
