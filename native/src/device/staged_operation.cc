#include "device/staged_operation.h"

#include <algorithm>
#include <utility>

namespace smddp {
namespace {

constexpr std::uint32_t kOver = 1;       // the value of the word
constexpr std::size_t kAlignment = 256;  // of the output behind the input

}  // namespace

StagedOperation::~StagedOperation() {
  if (copied_ != nullptr) gpu_->destroy(copied_);
}

std::byte* StagedOperation::host_out() {
  if (is_in_place()) return host_in();
  return host_in() + (extent_.in + kAlignment - 1) / kAlignment * kAlignment;
}

Status StagedOperation::bring(StagingPool& pool, cuda::Stream stream) {
  Result<Staging> staging = pool.take(extent_.in + kAlignment + extent_.out);
  if (!staging.ok()) return failure_ = staging.status();
  staging_ = std::move(staging).value();
  return failure_ = is_recv() ? Status{} : bring_input(stream);
}

Status StagedOperation::take(cuda::Stream stream) {
  if (failure_.ok() && !is_send()) failure_ = take_result(stream);
  return failure_;
}

Status StagedOperation::bring_input(cuda::Stream stream) {
  const auto input_is_here = [](void* self) {
    static_cast<StagedOperation*>(self)->input_is_here();
  };
  SMDDP_RETURN_IF_ERROR(moves_.bring
                            ? moves_.bring(host_in(), stream)
                            : gpu_->copy_to_host(host_in(), request_.in, extent_.in, stream));
  Result<cuda::Event> copied = gpu_->make_event();
  if (!copied.ok()) return copied.status();
  copied_ = copied.value();
  SMDDP_RETURN_IF_ERROR(gpu_->record(copied_, stream));
  return call(input_is_here, stream);
}

Status StagedOperation::take_result(cuda::Stream stream) {
  const auto stream_is_through = [](void* self) {
    static_cast<StagedOperation*>(self)->stream_is_through();
  };
  SMDDP_RETURN_IF_ERROR(gpu_->wait_for(staging_.word(), kOver, stream));
  SMDDP_RETURN_IF_ERROR(moves_.take
                            ? moves_.take(host_out(), stream)
                            : gpu_->copy_to_device(request_.out, host_out(), extent_.out, stream));
  return call(stream_is_through, stream);
}

// Once the stream will call, this stays until it has called for the last time; for good, if the
// rest cannot be put on the stream, or a GPU in error calls nobody.
Status StagedOperation::call(cuda::HostFunction function, cuda::Stream stream) {
  const bool is_first = myself_ == nullptr;
  if (is_first) myself_ = shared_from_this();
  Status called = gpu_->call(function, this, stream);
  if (!called.ok() && is_first) myself_.reset();
  return called;
}

Request StagedOperation::on_host() {
  Request request = request_;
  request.synchronous = false;
  request.before_waiting = nullptr;
  request.keep_alive = shared_from_this();
  request.device_part = shared_from_this();
  if (staging_.word() != nullptr) {
    // What is missing on the GPU's side is missing here: a root's output, an input that is not its.
    if (request.in != nullptr) request.in = host_in();
    if (request.out != nullptr) request.out = host_out();
  }
  request.on_complete = [this](const Status& outcome) {
    if (is_send() || !outcome.ok()) tell(outcome);
  };
  return request;
}

// After an error of the GPU its stream calls nobody, but the event tells.
Status StagedOperation::progress() {
  SMDDP_RETURN_IF_ERROR(failure_);
  if (has_input_.load()) return moves_.check ? moves_.check() : Status{};
  const Status copied = gpu_->query(copied_);
  return copied.ok() ? Status::again() : copied;
}

void StagedOperation::end(const Status& outcome) noexcept {
  outcome_ = outcome;
  if (outcome.ok() || !on_failure_) return release();
  on_failure_(outcome);
  owner_->wake();
}

void StagedOperation::release() noexcept {
  if (staging_.word() != nullptr) staging_.set_word(kOver);
}

void StagedOperation::input_is_here() {
  has_input_.store(true);
  owner_->wake();
  if (is_send()) owner_->later([self = std::move(myself_)] {});
}

// The stream does nothing more with this object, so the last reference may go, to where CUDA may be
// called.
void StagedOperation::stream_is_through() {
  owner_->later([self = std::move(myself_)] {
    if (self->outcome_.ok()) self->tell({});
  });
}

void StagedOperation::tell(const Status& outcome) {
  if (!told_.exchange(true) && request_.on_complete) request_.on_complete(outcome);
}

Status bring_all(const StagedOperations& operations, StagingPool& pool, cuda::Stream stream) {
  for (const auto& operation : operations) SMDDP_RETURN_IF_ERROR(operation->bring(pool, stream));
  return {};
}

Status take_all(const StagedOperations& operations, cuda::Stream stream) {
  for (const auto& operation : operations) SMDDP_RETURN_IF_ERROR(operation->take(stream));
  return {};
}

}  // namespace smddp
