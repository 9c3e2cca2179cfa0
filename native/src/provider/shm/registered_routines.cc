#include "provider/shm/registered_routines.h"

#include <algorithm>
#include <cstdint>

#include "base/streaming_copy.h"
#include "provider/shm/routines.h"
#include "reduce/reduce.h"

namespace smddp {
namespace {

// A block's result is still in the first-level cache when it is copied to the ranks beyond the
// first few.
constexpr std::size_t kBlockBytes = 16 * 1024;
// Between two turns the engine looks for failures.
constexpr std::size_t kTurnBytes = 256 * 1024;
// Below, one synchronisation more costs more than the copies.
constexpr std::size_t kSmallest = 64 * 1024;

std::size_t sum_of(const std::vector<Part>& parts) {
  std::size_t sum = 0;
  for (const Part& part : parts) sum += part.count;
  return sum;
}

/// The same on all ranks, but for all_to_all.
std::size_t bytes_moved(const ShmCall& call) {
  const NativeStep& step = *call.step;
  switch (step.collective) {
    case Collective::kBroadcast:
    case Collective::kAllGather:
      return step.out.count * call.element_bytes;
    case Collective::kGather:
      return sum_of(step.out_parts) * call.element_bytes;
    case Collective::kScatter:
      return sum_of(step.in_parts) * call.element_bytes;
    default:
      return step.in.count * call.element_bytes;
  }
}

/// Whether `in` and `out` are apart, or lie as the in-place form of the collective has it. With
/// other overlaps a rank would change what others still read.
bool are_apart_or_in_place(const ShmCall& call) {
  const NativeStep& step = *call.step;
  const auto own = static_cast<std::size_t>(call.self);
  // Numbers, because a rank that gets no result has no `out`.
  const auto in = reinterpret_cast<std::uintptr_t>(call.in);
  const auto out = reinterpret_cast<std::uintptr_t>(call.out);
  const auto bytes = [&call](std::size_t elements) { return elements * call.element_bytes; };
  std::size_t in_count = step.in.count;
  std::size_t out_count = step.in.count;
  bool in_place = out == in;
  if (step.collective == Collective::kReduceScatter || step.collective == Collective::kScatter) {
    out_count = step.in_parts[own].count;
    in_place = out == in + bytes(step.in_parts[own].offset);
  } else if (step.collective == Collective::kAllToAll) {
    out_count = step.out.count;
    in_place = false;
  } else if (!step.out_parts.empty()) {
    in_count = step.out_parts[own].count;
    out_count = step.out.count;
    in_place = in == out + bytes(step.out_parts[own].offset);
  }
  return in_place || out >= in + bytes(in_count) || in >= out + out_count * call.out_element_bytes;
}

}  // namespace

bool suits_registered(const ShmCall& call) {
  switch (call.step->collective) {
    case Collective::kBarrier:
      return false;
    case Collective::kBroadcast:
      return bytes_moved(call) >= kSmallest;
    default:
      return bytes_moved(call) >= kSmallest && are_apart_or_in_place(call);
  }
}

Needed needed_arrays(const ShmCall& call) {
  const NativeStep& step = *call.step;
  switch (step.collective) {
    case Collective::kAllReduce:
      return {.in = true, .out = true};
    case Collective::kReduce:
      return {.in = true, .out = call.self == step.root};
    case Collective::kReduceScatter:
      return {.in = true};
    case Collective::kScatter:
      return {.in = call.self == step.root};
    case Collective::kAllToAll:
      return {.in = step.in.count > step.in_parts[static_cast<std::size_t>(call.self)].count};
    default:
      return {.in = contribution_of(step, call.self).count > 0};
  }
}

// ---- all_reduce, reduce ----

RegisteredReduce::RegisteredReduce(const ShmCall& call, const ReachedArrays& arrays)
    : call_(call),
      arrays_(arrays),
      rest_(line_slice(call.step->in.count, call.element_bytes, call.ranks, call.self)) {}

void RegisteredReduce::reduce_block(std::size_t offset, std::size_t count) {
  const std::size_t skipped = offset * call_.element_bytes;
  for (std::size_t rank = 0; rank < arrays_.in.size(); ++rank)
    call_.sources[rank] = arrays_.in[rank] + skipped;
  targets_.clear();
  if (call_.step->collective == Collective::kReduce) {
    targets_.push_back(arrays_.out[static_cast<std::size_t>(call_.step->root)] + skipped);
  } else {
    for (std::byte* const out : arrays_.out) targets_.push_back(out + skipped);
  }
  const Reduction& reduction = call_.step->reduction;
  reduce_sources(call_.dtype, reduction.op, reduction.divisor, call_.sources, targets_, count);
}

bool RegisteredReduce::advance() {
  const std::size_t block = kBlockBytes / call_.element_bytes;
  for (std::size_t moved = 0; moved < kTurnBytes && rest_.count > 0; moved += kBlockBytes) {
    const std::size_t count = std::min(block, rest_.count);
    reduce_block(rest_.offset, count);
    rest_ = {rest_.offset + count, rest_.count - count};
  }
  return rest_.count == 0;
}

// ---- reduce_scatter ----

RegisteredScatter::RegisteredScatter(const ShmCall& call, const ReachedArrays& arrays)
    : call_(call), arrays_(arrays) {}

bool RegisteredScatter::advance() {
  const Part& own = call_.step->in_parts[static_cast<std::size_t>(call_.self)];
  const std::size_t count = std::min(own.count - done_, kTurnBytes / call_.element_bytes);
  if (count > 0) {
    for (std::size_t rank = 0; rank < arrays_.in.size(); ++rank)
      call_.sources[rank] = arrays_.in[rank] + (own.offset + done_) * call_.element_bytes;
    const Reduction& reduction = call_.step->reduction;
    std::byte* const target = call_.out_at(done_);
    reduce_sources({call_.dtype, call_.out_dtype}, reduction.op, reduction.divisor, call_.sources,
                   {&target, 1}, count);
  }
  done_ += count;
  return done_ == own.count;
}

// ---- all_gather, gather, broadcast, scatter, all_to_all ----

RegisteredFetch::RegisteredFetch(const ShmCall& call, const ReachedArrays& arrays,
                                 std::uint64_t chunk)
    : call_(call), arrays_(arrays), chunk_(chunk) {
  if (call.step->collective == Collective::kGather && call.self != call.step->root)
    rank_ = call.ranks;
}

Fetch RegisteredFetch::fetch_from(int rank) const {
  if (call_.step->collective == Collective::kScatter) {
    if (rank != call_.step->root) return {};
    const Part& own = call_.step->in_parts[static_cast<std::size_t>(call_.self)];
    return {own.offset, {0, own.count}};
  }
  if (call_.step->collective != Collective::kAllToAll)
    return {0, contribution_of(*call_.step, rank)};
  const Part sent = ExchangeRoutine{call_}.told(rank, call_.self, chunk_);
  return {sent.offset, call_.step->out_parts[static_cast<std::size_t>(rank)]};
}

const std::byte* RegisteredFetch::in_of(int rank) const {
  return rank == call_.self ? call_.in : arrays_.in[static_cast<std::size_t>(rank)];
}

bool RegisteredFetch::advance() {
  const std::size_t whole = call_.step->out.count * call_.element_bytes;
  for (std::size_t room = kTurnBytes / call_.element_bytes; room > 0 && rank_ < call_.ranks;) {
    const Fetch fetch = fetch_from(rank_);
    const std::size_t count = std::min(fetch.to.count - done_, room);
    if (count > 0) {
      const std::byte* const source = in_of(rank_) + (fetch.from + done_) * call_.element_bytes;
      std::byte* const target = call_.out_at(fetch.to.offset + done_);
      if (source != target) copy_of_whole(target, source, count * call_.element_bytes, whole);
    }
    room -= count;
    done_ += count;
    if (done_ < fetch.to.count) break;
    done_ = 0;
    ++rank_;
  }
  return rank_ == call_.ranks;
}

}  // namespace smddp
