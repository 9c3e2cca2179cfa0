#include "provider/nccl/communicator.h"

#include <utility>

#include "provider/nccl/calls.h"
#include "provider/nccl/errors.h"

namespace smddp::nccl {
namespace {

std::string name_of_operation(const Request& request) {
  switch (request.message) {
    case MessageSide::kSend:
      return "send to rank " + std::to_string(request.peer);
    case MessageSide::kRecv:
      return "recv from rank " + std::to_string(request.peer);
    default:
      return std::string{smddp::name_of(request.collective)};
  }
}

}  // namespace

Result<UniqueId> Communicator::make_id(const Library& library) {
  UniqueId id;
  const ResultCode code = library.table.get_unique_id(&id);
  if (code != ResultCode::kSuccess) return to_status(library, code, nullptr, "making a group's id");
  return id;
}

Result<std::unique_ptr<Communicator>> Communicator::begin(const Library& library,
                                                          const Membership& membership) {
  std::unique_ptr<Communicator> made{new Communicator{library, membership}};
  if (membership.min_ctas != Config::kUnset && membership.max_ctas == Config::kUnset) {
    return Status{StatusCode::kInvalidArgument,
                  made->doing("joining") + ": NCCL takes a least number of CTAs only with a most"};
  }
  Config config;
  config.blocking = 0;
  config.min_ctas = membership.min_ctas;
  config.max_ctas = membership.max_ctas;
  config.cta_policy = membership.cta_policy;
  config.comm_name = made->name_.c_str();
  const ResultCode code = library.table.comm_init_rank_config(&made->comm_, made->world_,
                                                              membership.id, made->rank_, &config);
  const Status begun = made->take(code, "joining");
  if (!begun.ok() && !begun.is_again()) return begun;
  return made;
}

Communicator::Communicator(const Library& library, const Membership& membership)
    : library_(library), rank_(membership.rank), world_(membership.world), name_(membership.name) {}

Communicator::~Communicator() { end(); }

Status Communicator::enqueue(std::span<const Request> requests, Stream stream) {
  SMDDP_RETURN_IF_ERROR(failure_);
  for (const Request& request : requests)
    SMDDP_RETURN_IF_ERROR(check_request(request, library_.version));
  if (requests.empty()) return {};
  if (leaving_ || !in_progress_.empty()) {
    const std::string why = leaving_ ? "this rank has left" : "NCCL is still " + in_progress_;
    return {StatusCode::kState, doing(name_of_operation(requests.front())) + ": " + why};
  }
  const ResultCode code = call_nccl({library_, comm_, rank_, world_}, requests, stream);
  if (code == ResultCode::kSuccess) return {};
  return take(code, name_of_operation(requests.front()));
}

Status Communicator::progress() {
  SMDDP_RETURN_IF_ERROR(failure_);
  if (comm_ == nullptr) return {};
  ResultCode code = ResultCode::kSuccess;
  const ResultCode asked = library_.table.comm_get_async_error(comm_, &code);
  if (asked != ResultCode::kSuccess) code = asked;
  if (code == ResultCode::kInProgress) return Status::again();
  if (code != ResultCode::kSuccess)
    return fail(code, in_progress_.empty() ? "running earlier operations" : in_progress_);
  in_progress_.clear();
  return leaving_ ? finalize() : Status{};
}

Status Communicator::leave() {
  leaving_ = true;
  return progress();
}

/// NCCL's order: finalize when nothing goes on, destroy when that is over.
Status Communicator::finalize() {
  if (!std::exchange(finalized_, true))
    SMDDP_RETURN_IF_ERROR(take(library_.table.comm_finalize(comm_), "leaving"));
  library_.table.comm_destroy(std::exchange(comm_, nullptr));
  return {};
}

void Communicator::abort() {
  if (comm_ == nullptr) return;
  if (failure_.ok()) {
    failure_ = {StatusCode::kAborted, doing("running operations") + ": this rank has aborted them"};
  }
  end();
}

void Communicator::forget() noexcept { comm_ = nullptr; }

void Communicator::end() noexcept {
  if (comm_ != nullptr) library_.table.comm_abort(std::exchange(comm_, nullptr));
}

/// Notes what a call began, or that it failed.
Status Communicator::take(ResultCode code, const std::string& doing_what) {
  if (code == ResultCode::kSuccess) return {};
  if (code != ResultCode::kInProgress) return fail(code, doing_what);
  in_progress_ = doing_what;
  return Status::again();
}

/// NCCL's own rule: after an error a communicator can only be aborted.
Status Communicator::fail(ResultCode code, const std::string& doing_what) {
  failure_ = to_status(library_, code, comm_, doing(doing_what));
  return failure_;
}

std::string Communicator::doing(const std::string& what) const {
  return what + " in group \"" + name_ + "\" of " + std::to_string(world_) + " GPUs, as rank " +
         std::to_string(rank_);
}

}  // namespace smddp::nccl
