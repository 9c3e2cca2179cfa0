#include "device/ipc_rounds.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "plan/traits.h"
#include "provider/cuda/kernels.h"

namespace smddp {
namespace {

/// Of pieces and slices, so that kernels can read and write 16 bytes at once.
constexpr std::size_t kAlignment = 256;

/// Whether ranks get or bring different parts, so that a round takes a piece of each.
bool is_in_pieces(Collective collective) {
  return collective == Collective::kReduceScatter || collective == Collective::kScatter ||
         collective == Collective::kAllGather || collective == Collective::kGather;
}

}  // namespace

IpcRounds::IpcRounds(const Request& request, HostPlace place, IpcReach reach)
    : request_(request),
      place_(place),
      reach_(std::move(reach)),
      width_(size_of(request.dtype)),
      piece_(own().staging / static_cast<std::size_t>(place.ranks) / kAlignment * kAlignment),
      step_((is_in_pieces(request.collective) ? piece_ : own().staging) / width_),
      count_((largest() + step_ - 1) / step_) {
  if (!is_one_shot()) find_shown();
}

// How many rounds the others have in an all_to_all, a rank cannot tell: each has counts of its own.
bool IpcRounds::serves(const Request& request) {
  if (is_reducing(request.collective)) return cuda::Kernels::can_reduce(request.dtype, request.op);
  return request.collective != Collective::kBarrier && request.collective != Collective::kAllToAll;
}

/// Whether each rank adds everything up for itself ("one-shot" instead of "two-shot"): ranks wait
/// for each other once then, and read what they bring in copies of it.
bool IpcRounds::is_one_shot() const {
  return request_.collective == Collective::kAllReduce &&
         request_.count * width_ <= IpcSlab::kEager;
}

/// Which of the user's memory the others would use, and whether they reach it.
void IpcRounds::find_shown() {
  const auto find = [&](const void* memory, std::size_t elements) {
    return reach_.view(static_cast<const std::byte*>(memory), elements * width_);
  };
  switch (request_.collective) {
    case Collective::kAllReduce:
      in_ = find(request_.in, request_.count);
      out_ = request_.in == request_.out ? in_ : find(request_.out, request_.count);
      return;
    case Collective::kReduce:
      if (!is_root()) in_ = find(request_.in, request_.count);
      return;
    case Collective::kReduceScatter:
      in_ = find(request_.in, total());
      return;
    case Collective::kAllGather:
      out_ = find(request_.out, total());
      return;
    case Collective::kBroadcast:
      if (is_root()) in_ = find(source(), request_.count);
      return;
    case Collective::kGather:
      if (is_root()) out_ = find(request_.out, total());
      return;
    default:
      if (is_root()) in_ = find(request_.in, total());
  }
}

std::size_t IpcRounds::count_of(Rank rank) const {
  return request_.counts.empty() ? request_.count : request_.counts[static_cast<std::size_t>(rank)];
}

std::size_t IpcRounds::begin_of(Rank rank) const {
  if (request_.counts.empty()) return static_cast<std::size_t>(rank) * request_.count;
  return std::accumulate(request_.counts.begin(), request_.counts.begin() + rank, std::size_t{0});
}

std::size_t IpcRounds::total() const { return begin_of(place_.ranks); }

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
      return is_one_shot() ? one_shot(part, half) : all_reduce(part);
    case Collective::kReduce:
      return reduce(part);
    case Collective::kReduceScatter:
      return reduce_scatter(part);
    case Collective::kBroadcast:
      return broadcast(part);
    case Collective::kAllGather:
      return all_gather(part);
    case Collective::kGather:
      return gather(part);
    default:
      return scatter(part);
  }
}

/// A kernel of one source and one target, until more is said.
IpcRound IpcRounds::begin() const {
  IpcRound round;
  round.copies = !is_reducing(request_.collective);
  round.told.resize(static_cast<std::size_t>(place_.ranks));
  round.kernel.op = request_.op;
  round.kernel.sources = 1;
  round.kernel.targets = 1;
  return round;
}

IpcRounds::Shown IpcRounds::shown(const std::optional<IpcView>& view, const void* memory) const {
  if (!view) return {reach_.slab, stage()};
  return {*view, static_cast<std::byte*>(const_cast<void*>(memory))};
}

IpcRound IpcRounds::one_shot(Part part, int half) const {
  IpcRound round;
  const std::size_t bytes = part.bytes(width_);
  round.bring = {{in(part.first), own().eager(half), bytes}};
  round.kernel = {.count = part.count, .sources = place_.ranks, .targets = 1, .op = request_.op};
  for (Rank rank = 0; rank < place_.ranks; ++rank)
    round.kernel.in[rank] = reach_.slabs[static_cast<std::size_t>(rank)].eager(half);
  round.kernel.out[0] = out(part.first);
  round.ends_together = false;
  return round;
}

/// Each rank adds a slice up, and writes it to all: after this, of a slice nobody else reads or
/// writes anything, so results may take the place of what was added.
IpcRound IpcRounds::all_reduce(Part part) const {
  IpcRound round = begin();
  const Shown from = shown(in_, in(part.first));
  const Shown to = shown(out_, out(part.first));
  if (!in_) round.bring = {{in(part.first), stage(), part.bytes(width_)}};
  if (!out_) round.take = {{stage(), out(part.first), part.bytes(width_)}};
  const std::size_t lanes = kAlignment / width_;
  const auto ranks = static_cast<std::size_t>(place_.ranks);
  const std::size_t slice = ((part.count + ranks - 1) / ranks + lanes - 1) / lanes * lanes;
  for (Rank peer = 0; peer < place_.ranks; ++peer) {
    const Part theirs = within({static_cast<std::size_t>(peer) * slice, slice}, part.count);
    const std::size_t offset = theirs.first * width_;
    round.told[static_cast<std::size_t>(peer)] = {from.at(peer, offset), to.at(peer, offset)};
    if (peer != place_.rank) continue;
    round.kernel.in[peer] = from.start + offset;
    round.kernel.out[peer] = to.start + offset;
    round.kernel.count = theirs.count;
  }
  round.kernel.sources = round.kernel.targets = place_.ranks;
  return round;
}

IpcRound IpcRounds::reduce(Part part) const {
  IpcRound round = begin();
  if (is_root()) {
    round.kernel.in[place_.rank] = in(part.first);
    round.kernel.sources = place_.ranks;
    round.kernel.out[0] = out(part.first);
    round.kernel.count = part.count;
    return round;
  }
  if (!in_) round.bring = {{in(part.first), stage(), part.bytes(width_)}};
  const Shown from = shown(in_, in(part.first));
  round.told[static_cast<std::size_t>(request_.root)].in = from.at(request_.root, 0);
  return round;
}

void IpcRounds::show_pieces(IpcRound& round, Part part) const {
  for (Rank peer = 0; peer < place_.ranks; ++peer) {
    if (peer == place_.rank) continue;
    const Part theirs = within(part, count_of(peer));
    const std::byte* const from = in(begin_of(peer) + theirs.first);
    std::byte* const staged = stage() + static_cast<std::size_t>(peer) * piece_;
    if (!in_) round.bring.push_back({from, staged, theirs.bytes(width_)});
    round.told[static_cast<std::size_t>(peer)].in =
        in_ ? in_->at(peer, from) : reach_.slab.at(peer, staged);
  }
}

void IpcRounds::show_blocks(IpcRound& round, Part part) const {
  for (Rank peer = 0; peer < place_.ranks; ++peer) {
    if (peer == place_.rank) continue;
    const Part theirs = within(part, count_of(peer));
    std::byte* const to = out(begin_of(peer) + theirs.first);
    std::byte* const staged = stage() + static_cast<std::size_t>(peer) * piece_;
    if (!out_) round.take.push_back({staged, to, theirs.bytes(width_)});
    round.told[static_cast<std::size_t>(peer)].out =
        out_ ? out_->at(peer, to) : reach_.slab.at(peer, staged);
  }
}

IpcRound IpcRounds::reduce_scatter(Part part) const {
  IpcRound round = begin();
  show_pieces(round, part);
  const Part mine = within(part, count_of(place_.rank));
  round.kernel.in[place_.rank] = in(begin_of(place_.rank) + mine.first);
  round.kernel.sources = place_.ranks;
  round.kernel.out[0] = out(mine.first);
  round.kernel.count = mine.count;
  return round;
}

IpcRound IpcRounds::all_gather(Part part) const {
  IpcRound round = begin();
  show_blocks(round, part);
  const Part mine = within(part, count_of(place_.rank));
  round.kernel.in[0] = in(mine.first);
  round.kernel.out[place_.rank] = out(begin_of(place_.rank) + mine.first);
  round.kernel.targets = place_.ranks;
  round.kernel.count = mine.bytes(width_);
  return round;
}

IpcRound IpcRounds::gather(Part part) const {
  IpcRound round = begin();
  const Part mine = within(part, count_of(place_.rank));
  round.kernel.in[0] = in(mine.first);
  round.kernel.first_target = request_.root;
  round.kernel.count = mine.bytes(width_);
  if (!is_root()) return round;
  show_blocks(round, part);
  round.kernel.out[0] = out(begin_of(place_.rank) + mine.first);
  return round;
}

IpcRound IpcRounds::scatter(Part part) const {
  IpcRound round = begin();
  const Part mine = within(part, count_of(place_.rank));
  round.kernel.out[0] = out(mine.first);
  round.kernel.first_source = request_.root;
  round.kernel.count = mine.bytes(width_);
  if (!is_root()) return round;
  show_pieces(round, part);
  round.kernel.in[0] = in(begin_of(place_.rank) + mine.first);
  return round;
}

IpcRound IpcRounds::broadcast(Part part) const {
  IpcRound round = begin();
  const std::size_t bytes = part.bytes(width_);
  if (request_.out != nullptr) round.kernel.out[0] = out(part.first);
  round.kernel.first_source = request_.root;
  round.kernel.count = bytes;
  if (!is_root()) return round;
  const std::byte* const from = static_cast<const std::byte*>(source()) + part.first * width_;
  if (!in_) round.bring = {{from, stage(), bytes}};
  const Shown shown_in = shown(in_, from);
  for (Rank peer = 0; peer < place_.ranks; ++peer)
    round.told[static_cast<std::size_t>(peer)].in = shown_in.at(peer, 0);
  round.kernel.in[0] = from;
  if (request_.out == nullptr || request_.out == source()) round.kernel.targets = 0;
  return round;
}

}  // namespace smddp
