#include "engine/request_check.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "engine/device_part.h"
#include "plan/traits.h"

namespace smddp {
namespace {

Status invalid(const Request& request, const std::string& problem) {
  return Status{StatusCode::kInvalidArgument,
                std::string{name_of(request.collective)} + ": " + problem};
}

std::size_t total(const std::vector<std::size_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::size_t{0});
}

// FNV-1a; only equality across ranks matters.
std::uint64_t hash_of(const std::vector<std::size_t>& counts) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (const std::size_t count : counts) hash = (hash ^ count) * 1099511628211ULL;
  return hash;
}

bool all_equal(const std::vector<std::size_t>& counts) {
  return std::adjacent_find(counts.begin(), counts.end(), std::not_equal_to<>{}) == counts.end();
}

Status check_message(const Request& request, Rank self, int world) {
  const bool is_send = request.message == MessageSide::kSend;
  const auto invalid = [is_send](const std::string& problem) {
    return Status{StatusCode::kInvalidArgument, (is_send ? "send: " : "recv: ") + problem};
  };
  const bool is_any = !is_send && request.peer == kAnyRank;
  if (!is_any && (request.peer < 0 || request.peer >= world)) {
    return invalid("rank " + std::to_string(request.peer) + " is not a rank of this group of " +
                   std::to_string(world));
  }
  if (request.peer == self || world == 1)
    return invalid("a rank exchanges messages with other ranks only, not with itself");
  const void* const buffer = is_send ? request.in : request.out;
  if (buffer == nullptr && request.count > 0) return invalid("no buffer");
  return Status{};
}

}  // namespace

std::size_t in_count(const Request& request, Rank self, int world) {
  const auto ranks = static_cast<std::size_t>(world);
  const auto own = [&](const std::vector<std::size_t>& counts) {
    return counts.empty() ? request.count : counts[static_cast<std::size_t>(self)];
  };
  switch (request.collective) {
    case Collective::kAllGather:
    case Collective::kGather:
      return own(request.counts);
    case Collective::kReduceScatter:
      return request.counts.empty() ? request.count * ranks : total(request.counts);
    case Collective::kScatter:
      if (self != request.root) return 0;
      return request.counts.empty() ? request.count * ranks : total(request.counts);
    case Collective::kAllToAll:
      return request.send_counts.empty() ? request.count * ranks : total(request.send_counts);
    case Collective::kBroadcast:
    case Collective::kBarrier:
      return 0;
    default:
      return request.count;
  }
}

std::size_t out_count(const Request& request, Rank self, int world) {
  const auto ranks = static_cast<std::size_t>(world);
  switch (request.collective) {
    case Collective::kAllGather:
    case Collective::kAllToAll:
      return request.counts.empty() ? request.count * ranks : total(request.counts);
    case Collective::kGather:
      if (self != request.root) return 0;
      return request.counts.empty() ? request.count * ranks : total(request.counts);
    case Collective::kReduceScatter:
    case Collective::kScatter:
      return request.counts.empty() ? request.count
                                    : request.counts[static_cast<std::size_t>(self)];
    case Collective::kReduce:
      return self == request.root ? request.count : 0;
    case Collective::kBarrier:
      return 0;
    default:
      return request.count;
  }
}

bool is_message(const Request& request) { return request.message != MessageSide::kNone; }

Status check_request(const Request& request, Rank self, int world) {
  if (is_message(request)) return check_message(request, self, world);
  // What a GPU does by itself, whoever made the request knows that it can.
  const bool on_host = request.device_part == nullptr || !request.device_part->is_all();
  if (on_host && is_reducing(request.collective) && !is_defined(request.op, request.dtype)) {
    return invalid(request, "op " + std::string{name_of(request.op)} + " is not defined on " +
                                std::string{name_of(request.dtype)});
  }
  if (is_rooted(request.collective) && (request.root < 0 || request.root >= world)) {
    return invalid(request, "root " + std::to_string(request.root) +
                                " is not a rank of this group of " + std::to_string(world));
  }
  for (const auto* counts : {&request.counts, &request.send_counts}) {
    if (!counts->empty() && counts->size() != static_cast<std::size_t>(world)) {
      return invalid(request, std::to_string(counts->size()) + " counts for a group of " +
                                  std::to_string(world));
    }
  }
  if (request.collective == Collective::kAllToAll && !request.counts.empty() &&
      !request.send_counts.empty()) {
    const auto own = static_cast<std::size_t>(self);
    if (request.counts[own] != request.send_counts[own]) {
      return invalid(request, "this rank sends itself " + std::to_string(request.send_counts[own]) +
                                  " elements and expects " + std::to_string(request.counts[own]));
    }
  }
  if (request.in == nullptr && in_count(request, self, world) > 0)
    return invalid(request, "no input buffer");
  if (request.out == nullptr && out_count(request, self, world) > 0)
    return invalid(request, "no output buffer");
  return Status{};
}

void complete_request(Request& request, Rank self, int world) {
  const auto ranks = static_cast<std::size_t>(world);
  const bool per_rank =
      has_blocks(request.collective) || request.collective == Collective::kAllToAll;
  if (per_rank && request.counts.empty()) request.counts.assign(ranks, request.count);
  if (request.collective == Collective::kAllToAll && request.send_counts.empty()) {
    request.send_counts.assign(ranks, request.count);
  }
  if (request.collective == Collective::kBroadcast && self == request.root &&
      request.in == nullptr) {
    request.in = request.out;
  }
  // On bool, sum and max mean "or", product and min mean "and"; the kernels know that.
  if (!is_reducing(request.collective)) request.op = ReduceOp::kSum;
  if (!is_rooted(request.collective)) request.root = -1;
}

CollectiveSpec to_spec(const Request& request) {
  return CollectiveSpec{.collective = request.collective,
                        .dtype = request.dtype,
                        .op = request.op,
                        .count = request.count,
                        .counts = request.counts,
                        .send_counts = request.send_counts,
                        .root = std::max(request.root, 0)};
}

bool is_for(const CollectiveSpec& spec, const Request& request) {
  return spec.collective == request.collective && spec.dtype == request.dtype &&
         spec.op == request.op && spec.count == request.count &&
         spec.root == std::max(request.root, 0) && spec.counts == request.counts &&
         spec.send_counts == request.send_counts;
}

Signature to_signature(const Request& request, std::uint64_t sequence) {
  Signature signature{.sequence = sequence,
                      .root = request.root,
                      .collective = request.collective,
                      .dtype = request.dtype,
                      .op = request.op};
  switch (request.collective) {
    case Collective::kBarrier:
      signature.dtype = DType::kUint8;
      break;
    case Collective::kAllToAll:  // every rank has counts of its own
      break;
    case Collective::kAllGather:
    case Collective::kReduceScatter:
    case Collective::kGather:
    case Collective::kScatter:
      signature.count = request.count;
      if (!request.counts.empty()) signature.count = request.counts.front();
      if (all_equal(request.counts)) break;
      signature.count = total(request.counts);
      signature.counts_hash = hash_of(request.counts);
      break;
    default:
      // Ranks whose wholes differ cut them otherwise, and learn of it at the first piece.
      signature.count = request.whole > 0 ? request.whole : request.count;
  }
  return signature;
}

}  // namespace smddp
