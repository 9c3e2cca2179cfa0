#include "engine/execution.h"

#include <cstring>
#include <utility>

#include "reduce/reduce.h"

namespace smddp {
namespace {

constexpr std::size_t kLine = 64;  // bytes of a cache line

}  // namespace

Status Execution::start(const Plan& plan, const Request& request, const Signature& signature) {
  plan_ = &plan;
  request_ = &request;
  types_ = {request.dtype, plan.partials};
  element_bytes_ = size_of(types_.dtype);
  partial_bytes_ = size_of(types_.partials);
  envelope_ = to_envelope(signature);
  sequence_ = signature.sequence;
  first_partial_ = (plan.scratch_count * element_bytes_ + kLine - 1) / kLine * kLine;
  const std::size_t scratch_bytes = first_partial_ + plan.partial_count * partial_bytes_;
  if (!scratch_.reserve(scratch_bytes)) {
    remaining_ = 1;  // never over
    return Status{StatusCode::kSystem, "no memory for " + std::to_string(scratch_bytes) +
                                           " bytes of intermediate results"};
  }
  states_.assign(plan_->steps.size(), State::kWaiting);
  remaining_ = plan_->steps.size();
  posted_natives_ = 0;
  first_waiting_ = 0;
  dirty_ = true;
  return Status{};
}

std::byte* Execution::own_memory(const Range& range) const {
  if (scratch_.data() == nullptr) return nullptr;
  const std::size_t first = range.space == Space::kPartials ? first_partial_ : 0;
  return scratch_.data() + first + range.offset * width_of(range.space);
}

const std::byte* Execution::source(const Range& range) const {
  if (range.space != Space::kIn && range.space != Space::kOut) return own_memory(range);
  const void* base = range.space == Space::kIn ? request_->in : request_->out;
  if (base == nullptr) return nullptr;
  return static_cast<const std::byte*>(base) + range.offset * element_bytes_;
}

std::byte* Execution::target(const Range& range) {
  if (range.space != Space::kOut) return own_memory(range);
  if (request_->out == nullptr) return nullptr;
  return static_cast<std::byte*>(request_->out) + range.offset * element_bytes_;
}

bool Execution::is_ready(std::size_t index) const {
  for (const std::uint32_t earlier : plan_->steps[index].after) {
    if (states_[earlier] != State::kDone) return false;
  }
  return keeps_order(index);
}

// The k-th send to a peer meets its k-th receive, so messages are posted in step order even when a
// later one is ready first.
bool Execution::keeps_order(std::size_t index) const {
  const Step& step = plan_->steps[index];
  if (step.kind != StepKind::kSend && step.kind != StepKind::kRecv) return true;
  for (std::size_t i = first_waiting_; i < index; ++i) {
    const Step& earlier = plan_->steps[i];
    if (states_[i] == State::kWaiting && earlier.kind == step.kind && earlier.peer == step.peer)
      return false;
  }
  return true;
}

Result<bool> Execution::advance() {
  bool started = false;
  bool again = false;
  // Copies and reductions complete inside the loop and may make other steps ready.
  while (dirty_) {
    dirty_ = false;
    for (std::size_t i = first_waiting_; i < states_.size(); ++i) {
      if (states_[i] != State::kWaiting || !is_ready(i)) continue;
      const Status status = begin(i);
      if (status.is_again()) {
        again = true;
        continue;
      }
      SMDDP_RETURN_IF_ERROR(status);
      started = true;
    }
    while (first_waiting_ < states_.size() && states_[first_waiting_] != State::kWaiting)
      ++first_waiting_;
  }
  dirty_ = again;
  return started;
}

Status Execution::begin(std::size_t index) {
  const Step& step = plan_->steps[index];
  const auto token = static_cast<Token>(index);
  states_[index] = State::kPosted;
  switch (step.kind) {
    case StepKind::kNative:
      post_native(step, token);
      return Status{};
    case StepKind::kSend:
    case StepKind::kRecv: {
      Status status = post_message(step, token);
      if (!status.ok()) states_[index] = State::kWaiting;
      return status;
    }
    case StepKind::kReduce:
      reduce(step);
      break;
    case StepKind::kCopy:
      copy(step);
      break;
  }
  complete(token);
  return Status{};
}

Status Execution::post_message(const Step& step, Token token) {
  if (step.kind == StepKind::kSend) {
    const Range& range = step.sources[0];
    const SendDesc send{source(range), bytes(range), sequence_, &envelope_};
    return transport_->post_send(step.peer, send, token);
  }
  const RecvDesc recv{target(step.target), bytes(step.target), sequence_, &envelope_};
  return transport_->post_recv(step.peer, recv, token);
}

void Execution::post_native(const Step& step, Token token) {
  ++posted_natives_;
  const NativeStep& native = step.native;
  provider_->post(NativeCall{.step = &native,
                             .dtype = types_.of(native.in),
                             .out_dtype = types_.of(native.out),
                             .in = source(native.in),
                             .out = target(native.out),
                             .envelope = envelope_},
                  token);
}

void Execution::reduce(const Step& step) {
  sources_.clear();
  for (const Range& range : step.sources) sources_.push_back(source(range));
  std::byte* const to = target(step.target);
  reduce_sources({types_.of(step.sources[0]), types_.of(step.target)}, step.reduction.op,
                 step.reduction.divisor, sources_, {&to, 1}, step.target.count);
}

void Execution::copy(const Step& step) {
  const std::byte* from = source(step.sources[0]);
  std::byte* to = target(step.target);
  if (from == nullptr || from == to || step.target.count == 0) return;
  const ReduceTypes types{types_.of(step.sources[0]), types_.of(step.target)};
  if (types.source == types.target) {
    std::memmove(to, from, bytes(step.target));
  } else {
    reduce_sources(types, ReduceOp::kSum, 1, {&from, 1}, {&to, 1}, step.target.count);
  }
}

void Execution::complete(Token token) noexcept {
  states_[token] = State::kDone;
  if (plan_->steps[token].kind == StepKind::kNative) --posted_natives_;
  --remaining_;
  dirty_ = true;
}

std::vector<Rank> Execution::waiting_for() const {
  std::vector<Rank> ranks;
  if (provider_ != nullptr) ranks = provider_->waiting_for();
  for (std::size_t i = 0; i < states_.size(); ++i) {
    const StepKind kind = plan_->steps[i].kind;
    const bool is_message = kind == StepKind::kRecv || kind == StepKind::kSend;
    if (is_message && states_[i] == State::kPosted) ranks.push_back(plan_->steps[i].peer);
  }
  return ranks;
}

}  // namespace smddp
