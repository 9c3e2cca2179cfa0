#include "device/hierarchy.h"

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

}  // namespace

bool Hierarchy::suits(const Request& request) const {
  const bool rounds_twice = request.op == ReduceOp::kAverage && !is_floating(request.dtype);
  return request.collective == Collective::kAllReduce && !rounds_twice && share(request) > 0;
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
  Request between = part_of(request, Collective::kAllReduce, shard(request, place_.rank), count);
  between.in = between.out;
  between.timeout += kAfterTheWhole;
  std::vector<std::shared_ptr<StagedOperation>> pieces;
  for (Request& piece : pieces_of(std::move(between)))
    pieces.push_back(note(std::move(piece), ends));
  Status begun;
  for (const auto& piece : pieces) {
    if (begun.ok()) begun = piece->bring(ends.pool, stream);
  }
  for (const auto& piece : pieces) {
    if (begun.ok()) begun = piece->take(stream);
  }
  // Which tells of a failure too.
  for (const auto& piece : pieces) static_cast<void>(between_->submit(piece->on_host()));
  return begun;
}

/// Such that `abandon` knows of it.
std::shared_ptr<StagedOperation> Hierarchy::note(Request piece, const Ends& ends) {
  const std::size_t bytes = piece.count * size_of(piece.dtype);
  const auto operation = std::make_shared<StagedOperation>(
      ends.owner, gpu_, std::move(piece), StagedOperation::Extent{bytes, bytes}, ends.on_failure);
  const std::lock_guard lock{mutex_};
  std::erase_if(exchanges_, [](const auto& known) { return known.expired(); });
  exchanges_.push_back(operation);
  return operation;
}

void Hierarchy::abandon(const std::string& why) {
  between_->leave(std::chrono::milliseconds{0}, why);
  const std::lock_guard lock{mutex_};
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
