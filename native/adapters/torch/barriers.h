#pragma once

#include <algorithm>
#include <cctype>
#include <set>
#include <string>
#include <utility>

#include "backend.h"

namespace smddp::torch_adapter {

// What moves nothing: barrier, monitored_barrier.

/// Of the ranks, and of what their GPUs were given before on the current streams.
inline WorkPtr SmddpBackend::barrier(const c10d::BarrierOptions& options) {
  if (const auto device_side = side()) {
    const Unlocked unlocked;
    device_side->synchronize();
  }
  Request request;
  request.collective = Collective::kBarrier;
  request.timeout = timeout_for(options);
  request.synchronous = !options.asyncOp;
  Call call{c10d::OpType::BARRIER, "smddp:barrier"};
  call.timeout = request.timeout;
  return start(std::move(request), std::move(call));
}

/// The ranks that a failure names ("rank 3"), but for `self`.
inline std::set<Rank> ranks_named(const std::string& message, Rank self) {
  constexpr std::string_view kMissing = "missing: ";
  constexpr std::string_view kRank = "rank ";
  std::set<Rank> named;
  const std::size_t begin = message.find(kMissing);
  for (std::size_t at = message.find(kRank, begin == std::string::npos ? 0 : begin);
       at != std::string::npos; at = message.find(kRank, at + kRank.size())) {
    const std::size_t number = at + kRank.size();
    if (number < message.size() && std::isdigit(static_cast<unsigned char>(message[number])) != 0)
      named.insert(std::stoi(message.substr(number)));
  }
  named.erase(self);
  return named;
}

/// "Rank 1 failed to pass monitoredBarrier in 100 ms", or "Ranks 1, 2 ..." when all are asked for.
inline std::string late_at_barrier(const std::set<Rank>& late, bool all,
                                   std::chrono::milliseconds timeout) {
  std::string text = late.size() > 1 && all ? "Ranks " : "Rank ";
  for (const Rank rank : late) {
    if (rank != *late.begin() && !all) break;
    text += (rank == *late.begin() ? "" : ", ") + std::to_string(rank);
  }
  return text + " failed to pass monitoredBarrier in " + std::to_string(timeout.count()) + " ms";
}

/// As with gloo rank 0 of the group decides after `timeout`, and the others wait for what it says.
/// It gathers from them: in a barrier it would hear of a host's ranks only together.
inline void SmddpBackend::monitoredBarrier(const c10d::BarrierOptions& options,
                                           bool wait_all_ranks) {
  const bool is_given = options.timeout != c10d::kUnsetTimeout;
  const std::chrono::milliseconds timeout = is_given ? options.timeout : timeout_;
  const std::string self = "Rank " + std::to_string(label_of(rank_));
  const std::string timed_out =
      self + " timed out in monitoredBarrier after " + std::to_string(timeout.count()) + " ms";
  if (timeout.count() <= 0)
    throw_if_error(Status{StatusCode::kTimeout, process_prefix() + timed_out});
  Status outcome;
  for (const Collective collective : {Collective::kGather, Collective::kBarrier}) {
    Request request;
    request.collective = collective;
    request.timeout = rank_ == 0 ? timeout : std::max(timeout, timeout_);
    if (outcome.ok()) outcome = run_now(std::move(request), {});
  }
  if (outcome.ok()) return;
  std::string text;
  if (rank_ == 0) {
    const std::set<Rank> late = ranks_named(outcome.message(), label_of(0));
    text = late.empty() ? timed_out : late_at_barrier(late, wait_all_ranks, timeout);
  } else {
    text =
        self +
        " successfully reached monitoredBarrier, but received errors while waiting for send/recv "
        "from rank " +
        std::to_string(label_of(0)) + ". Please check its log for the faulty rank.";
  }
  throw_if_error(Status{outcome.code(), process_prefix() + text + "\n" + outcome.message()});
}

}  // namespace smddp::torch_adapter
