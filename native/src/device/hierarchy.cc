#include "device/hierarchy.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <span>
#include <utility>

#include "device/pieces.h"

namespace smddp {
namespace {

/// The group's own communicator sees all ranks, and names who is late, before this one's deadline.
constexpr std::chrono::seconds kAfterTheWhole{10};

/// The same operation on a part of the memory.
Request part_of(const Request& whole, Collective collective, std::byte* out, std::size_t count) {
  return {.collective = collective,
          .dtype = whole.dtype,
          .op = whole.op,
          .out = out,
          .count = count,
          .timeout = whole.timeout,
          .name = whole.name};
}

Request between_hosts(const Request& whole, Collective collective, std::byte* out,
                      std::size_t count) {
  Request request = part_of(whole, collective, out, count);
  request.in = whole.in;
  request.timeout += kAfterTheWhole;
  return request;
}

}  // namespace

bool Hierarchy::suits(const Request& request) const {
  const bool rounds_twice = request.op == ReduceOp::kAverage && !is_floating(request.dtype);
  switch (request.collective) {
    case Collective::kAllReduce:
      return !rounds_twice && share(request) > 0;
    case Collective::kReduceScatter:
      return !rounds_twice && has_equal_blocks(request);
    case Collective::kAllGather:
      return has_equal_blocks(request);
    default:
      return false;
  }
}

/// Elements of a block, of a request with equal blocks.
std::size_t Hierarchy::block(const Request& request) {
  return request.counts.empty() ? request.count : request.counts.front();
}

bool Hierarchy::has_equal_blocks(const Request& request) const {
  const auto is_equal = [&](std::size_t count) { return count == block(request); };
  return hosts_.in_order && block(request) > 0 &&
         std::all_of(request.counts.begin(), request.counts.end(), is_equal);
}

std::size_t Hierarchy::share(const Request& request) const {
  return request.count / static_cast<std::size_t>(place_.ranks);
}

std::size_t Hierarchy::left_over(const Request& request) const {
  return request.count % static_cast<std::size_t>(place_.ranks);
}

std::byte* Hierarchy::shard(const Request& request, Rank rank) const {
  return static_cast<std::byte*>(request.out) +
         static_cast<std::size_t>(rank) * share(request) * size_of(request.dtype);
}

Status Hierarchy::enqueue(const Request& request, cuda::Stream stream, const Ends& ends) {
  if (request.collective == Collective::kReduceScatter)
    return reduce_scatter(request, stream, ends);
  if (request.collective == Collective::kAllGather) return all_gather(request, stream, ends);
  SMDDP_RETURN_IF_ERROR(scatter(request, stream, ends));
  SMDDP_RETURN_IF_ERROR(exchange(request, stream, ends));
  return gather(request, stream, ends);
}

/// Into this rank's shard of `out`, which is where it belongs.
Status Hierarchy::scatter(const Request& request, cuda::Stream stream, const Ends& ends) {
  const Rank last = place_.ranks - 1;
  std::byte* const behind = shard(request, place_.ranks);
  std::array steps{
      part_of(request, Collective::kReduceScatter, shard(request, place_.rank), share(request)),
      part_of(request, Collective::kReduce, behind, left_over(request))};
  steps[0].in = request.in;
  steps[1].in =
      static_cast<const std::byte*>(request.in) + (behind - static_cast<std::byte*>(request.out));
  steps[1].root = last;
  const std::size_t count = left_over(request) > 0 ? 2 : 1;
  return inside_->enqueue(std::span{steps}.first(count), stream, ends.is_over);
}

Status Hierarchy::exchange(const Request& request, cuda::Stream stream, const Ends& ends) {
  const std::size_t count = share(request) + (is_last() ? left_over(request) : 0);
  Request between =
      between_hosts(request, Collective::kAllReduce, shard(request, place_.rank), count);
  between.in = between.out;
  StagedOperations pieces;
  for (Request& piece : pieces_of(std::move(between))) {
    const std::size_t bytes = piece.count * size_of(piece.dtype);
    pieces.push_back(staged(std::move(piece), {bytes, bytes}, ends));
  }
  return put(pieces, stream, ends);
}

std::shared_ptr<StagedOperation> Hierarchy::staged(Request piece, StagedOperation::Extent extent,
                                                   const Ends& ends, StagedMoves moves) {
  // The ranks of this host hear of a failure as they give up; those of others would take what is
  // left in its place for a result.
  moves.check = [inside = inside_] { return inside->check_results(inside->mark()); };
  return std::make_shared<StagedOperation>(ends.owner, gpu_, std::move(piece), extent,
                                           ends.on_failure, std::move(moves));
}

/// Such that `abandon` knows of it, before the stream waits for it.
void Hierarchy::note(const std::shared_ptr<StagedOperation>& piece) {
  const std::lock_guard lock{mutex_};
  if (is_abandoned_) return piece->release();
  std::erase_if(exchanges_, [](const auto& known) { return known.expired(); });
  exchanges_.push_back(piece);
}

/// On the stream, and to the engine.
Status Hierarchy::put(const StagedOperations& pieces, cuda::Stream stream, const Ends& ends) {
  Status begun = bring_all(pieces, ends.pool, stream);
  for (const auto& piece : pieces) note(piece);
  if (begun.ok()) begun = take_all(pieces, stream);
  // Which tells of a failure too.
  for (const auto& piece : pieces) static_cast<void>(between_->submit(piece->on_host()));
  return begun;
}

Status Hierarchy::reduce_scatter(const Request& request, cuda::Stream stream, const Ends& ends) {
  auto* const out = static_cast<std::byte*>(request.out);
  Request between = between_hosts(request, Collective::kReduceScatter, out, block(request));
  const std::size_t bytes = block(request) * size_of(request.dtype);
  const auto hosts = static_cast<std::size_t>(hosts_.count);
  // Called before this returns.
  const StagedMoves moves{.bring = [&](std::byte* host, cuda::Stream on) {
    return bring_blocks(request, host, on, ends.is_over);
  }};
  return put({staged(std::move(between), {hosts * bytes, bytes}, ends, moves)}, stream, ends);
}

// One host's after the other's, all in the memory of the result. Those of the own host come first:
// `out` may be one of them, and is free from then on.
Status Hierarchy::bring_blocks(const Request& request, std::byte* host, cuda::Stream stream,
                               const std::function<bool()>& is_over) {
  const std::size_t bytes = block(request) * size_of(request.dtype);
  auto* const out = static_cast<std::byte*>(request.out);
  for (int turn = 0; turn < hosts_.count; ++turn) {
    const auto which = static_cast<std::size_t>((hosts_.host + turn) % hosts_.count);
    Request inside = part_of(request, Collective::kReduceScatter, out, block(request));
    inside.in = static_cast<const std::byte*>(request.in) +
                which * static_cast<std::size_t>(place_.ranks) * bytes;
    SMDDP_RETURN_IF_ERROR(inside_->enqueue({&inside, 1}, stream, is_over));
    SMDDP_RETURN_IF_ERROR(gpu_->copy_to_host(host + which * bytes, out, bytes, stream));
  }
  return {};
}

Status Hierarchy::all_gather(const Request& request, cuda::Stream stream, const Ends& ends) {
  auto* const out = static_cast<std::byte*>(request.out);
  Request between = between_hosts(request, Collective::kAllGather, out, block(request));
  const std::size_t bytes = block(request) * size_of(request.dtype);
  const auto hosts = static_cast<std::size_t>(hosts_.count);
  const StagedMoves moves{
      .take = [&](std::byte* host, cuda::Stream on) { return take_blocks(request, host, on); }};
  SMDDP_RETURN_IF_ERROR(
      put({staged(std::move(between), {bytes, hosts * bytes}, ends, moves)}, stream, ends));
  std::vector<Request> inside;
  const std::size_t host_bytes = static_cast<std::size_t>(place_.ranks) * bytes;
  for (std::size_t host = 0; host < hosts; ++host) {
    std::byte* const blocks = out + host * host_bytes;
    inside.push_back(part_of(request, Collective::kAllGather, blocks, block(request)));
    inside.back().in = blocks + static_cast<std::size_t>(place_.rank) * bytes;
  }
  return inside_->enqueue(inside, stream, ends.is_over);
}

Status Hierarchy::take_blocks(const Request& request, const std::byte* host, cuda::Stream stream) {
  const std::size_t bytes = block(request) * size_of(request.dtype);
  const auto ranks = static_cast<std::size_t>(place_.ranks);
  for (std::size_t which = 0; which < static_cast<std::size_t>(hosts_.count); ++which) {
    const std::size_t rank = which * ranks + static_cast<std::size_t>(place_.rank);
    SMDDP_RETURN_IF_ERROR(gpu_->copy_to_device(static_cast<std::byte*>(request.out) + rank * bytes,
                                               host + which * bytes, bytes, stream));
  }
  return {};
}

void Hierarchy::abandon(const std::string& why) {
  between_->leave(std::chrono::milliseconds{0}, why);
  const std::lock_guard lock{mutex_};
  is_abandoned_ = true;
  for (const auto& known : exchanges_) {
    if (const auto exchange = known.lock()) exchange->release();
  }
}

Status Hierarchy::gather(const Request& request, cuda::Stream stream, const Ends& ends) {
  std::byte* const behind = shard(request, place_.ranks);
  std::array steps{part_of(request, Collective::kAllGather, static_cast<std::byte*>(request.out),
                           share(request)),
                   part_of(request, Collective::kBroadcast, behind, left_over(request))};
  steps[0].in = shard(request, place_.rank);
  steps[1].in = behind;
  steps[1].root = place_.ranks - 1;
  const std::size_t count = left_over(request) > 0 ? 2 : 1;
  return inside_->enqueue(std::span{steps}.first(count), stream, ends.is_over);
}

}  // namespace smddp
