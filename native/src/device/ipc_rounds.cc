#include "device/ipc_rounds.h"

#include <array>
#include <numeric>

#include "plan/traits.h"
#include "provider/cuda/kernels.h"

namespace smddp {
namespace {

/// Of pieces and slices, so that kernels can read and write 16 bytes at once.
constexpr std::size_t kAlignment = 256;

/// Up to here each rank adds everything up for itself ("one-shot" instead of "two-shot"), so that
/// ranks wait for each other once. Not measured yet.
constexpr std::size_t kOneShotBytes = 128 * 1024;

}  // namespace

IpcRounds::IpcRounds(const Request& request, HostPlace place, const std::vector<IpcSlab>& slabs)
    : request_(request),
      place_(place),
      slabs_(slabs),
      width_(size_of(request.dtype)),
      piece_(IpcSlab::kChunk / static_cast<std::size_t>(place.ranks) / kAlignment * kAlignment),
      step_((is_in_pieces() ? piece_ : IpcSlab::kChunk) / width_),
      count_((largest() + step_ - 1) / step_) {}

// How many rounds the others have in an all_to_all, a rank cannot tell: each has counts of its own.
bool IpcRounds::serves(const Request& request) {
  if (is_reducing(request.collective)) return cuda::Kernels::can_reduce(request.dtype, request.op);
  return request.collective != Collective::kBarrier && request.collective != Collective::kAllToAll;
}

/// Whether ranks get different parts of what a rank brings.
bool IpcRounds::is_in_pieces() const {
  return request_.collective == Collective::kReduceScatter ||
         request_.collective == Collective::kScatter;
}

std::size_t IpcRounds::count_of(Rank rank) const {
  return request_.counts.empty() ? request_.count : request_.counts[static_cast<std::size_t>(rank)];
}

std::size_t IpcRounds::begin_of(Rank rank) const {
  if (request_.counts.empty()) return static_cast<std::size_t>(rank) * request_.count;
  return std::accumulate(request_.counts.begin(), request_.counts.begin() + rank, std::size_t{0});
}

std::size_t IpcRounds::largest() const {
  if (request_.counts.empty()) return request_.count;
  return *std::max_element(request_.counts.begin(), request_.counts.end());
}

IpcRounds::Part IpcRounds::within(Part part, std::size_t count) {
  const std::size_t first = std::min(part.first, count);
  return {first, std::min(part.count, count - first)};
}

IpcRound IpcRounds::round(std::size_t number, int half) const {
  const Part part = within({number * step_, step_}, largest());
  switch (request_.collective) {
    case Collective::kAllReduce:
      return all_reduce(part, half);
    case Collective::kReduce:
      return reduce(part, half);
    case Collective::kReduceScatter:
      return reduce_scatter(part, half);
    case Collective::kBroadcast:
      return broadcast(part, half);
    case Collective::kAllGather:
      return all_gather(part, half);
    case Collective::kGather:
      return gather(part, half);
    default:
      return scatter(part, half);
  }
}

IpcRound::Copy IpcRounds::brought(Part part, int half) const {
  return {in(part.first), own(half), part.bytes(width_)};
}

/// Of all ranks' slabs, from `offset` bytes on.
cuda::ReduceArguments IpcRounds::reduction(std::size_t offset, std::size_t count, int half,
                                           std::span<std::byte* const> targets) const {
  cuda::ReduceArguments call{};
  for (Rank rank = 0; rank < place_.ranks; ++rank) call.in[rank] = in_of(rank, half) + offset;
  call.sources = place_.ranks;
  call.count = count;
  call.op = request_.op;
  std::copy(targets.begin(), targets.end(), call.out);
  call.targets = static_cast<std::int32_t>(targets.size());
  return call;
}

IpcRound IpcRounds::all_reduce(Part part, int half) const {
  IpcRound round;
  round.bring = {brought(part, half)};
  if (request_.count * width_ <= kOneShotBytes) {
    round.reduce = reduction(0, part.count, half, std::array{out(part.first)});
    return round;
  }
  const std::size_t lanes = kAlignment / width_;
  const auto ranks = static_cast<std::size_t>(place_.ranks);
  const std::size_t slice = ((part.count + ranks - 1) / ranks + lanes - 1) / lanes * lanes;
  const Part mine = within({static_cast<std::size_t>(place_.rank) * slice, slice}, part.count);
  const std::size_t offset = mine.first * width_;
  std::vector<std::byte*> targets;
  for (const IpcSlab& slab : slabs_) targets.push_back(slab.out(half) + offset);
  round.reduce = reduction(offset, mine.count, half, targets);
  round.spreads = true;
  round.take = {{slabs_[static_cast<std::size_t>(place_.rank)].out(half), out(part.first),
                 part.bytes(width_)}};
  return round;
}

IpcRound IpcRounds::reduce(Part part, int half) const {
  IpcRound round;
  round.bring = {brought(part, half)};
  if (!is_root()) return round;
  round.reduce = reduction(0, part.count, half, std::array{out(part.first)});
  return round;
}

/// This rank's part for each of the others.
void IpcRounds::bring_pieces(IpcRound& round, Part part, int half) const {
  for (Rank rank = 0; rank < place_.ranks; ++rank) {
    const Part theirs = within(part, count_of(rank));
    round.bring.push_back({in(begin_of(rank) + theirs.first),
                           own(half) + static_cast<std::size_t>(rank) * piece_,
                           theirs.bytes(width_)});
  }
}

IpcRound IpcRounds::reduce_scatter(Part part, int half) const {
  IpcRound round;
  bring_pieces(round, part, half);
  const Part mine = within(part, count_of(place_.rank));
  round.reduce = reduction(static_cast<std::size_t>(place_.rank) * piece_, mine.count, half,
                           std::array{out(mine.first)});
  return round;
}

IpcRound IpcRounds::broadcast(Part part, int half) const {
  IpcRound round;
  const std::size_t bytes = part.bytes(width_);
  if (!is_root()) {
    round.fetch = {{in_of(request_.root, half), out(part.first), bytes}};
    return round;
  }
  const std::byte* const from = request_.in != nullptr ? in(part.first) : out(part.first);
  round.bring = {{from, own(half), bytes}};
  if (request_.out != nullptr) round.fetch = {{from, out(part.first), bytes}};
  return round;
}

/// Every rank's block of what this one gathers.
void IpcRounds::fetch_blocks(IpcRound& round, Part part, int half) const {
  for (Rank rank = 0; rank < place_.ranks; ++rank) {
    const Part theirs = within(part, count_of(rank));
    const std::byte* const from = rank == place_.rank ? in(theirs.first) : in_of(rank, half);
    round.fetch.push_back({from, out(begin_of(rank) + theirs.first), theirs.bytes(width_)});
  }
}

IpcRound IpcRounds::all_gather(Part part, int half) const {
  IpcRound round;
  round.bring = {brought(within(part, count_of(place_.rank)), half)};
  fetch_blocks(round, part, half);
  return round;
}

IpcRound IpcRounds::gather(Part part, int half) const {
  IpcRound round;
  round.bring = {brought(within(part, count_of(place_.rank)), half)};
  if (is_root()) fetch_blocks(round, part, half);
  return round;
}

IpcRound IpcRounds::scatter(Part part, int half) const {
  IpcRound round;
  if (is_root()) bring_pieces(round, part, half);
  const Part mine = within(part, count_of(place_.rank));
  round.fetch = {{in_of(request_.root, half) + static_cast<std::size_t>(place_.rank) * piece_,
                  out(mine.first), mine.bytes(width_)}};
  return round;
}

}  // namespace smddp
