#include "plan/validation/buffers.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "plan/partition.h"

namespace smddp {
namespace {

std::size_t sum(const std::vector<std::size_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::size_t{0});
}

std::size_t offset_of(const std::vector<std::size_t>& counts, Rank rank) {
  return std::accumulate(counts.begin(), counts.begin() + rank, std::size_t{0});
}

}  // namespace

Buffers::Buffers(const CollectiveSpec& spec, Rank self, bool in_place, const Plan& plan)
    : types_{spec.dtype, plan.partials} {
  const auto rank = static_cast<std::size_t>(self);
  const bool is_root = self == spec.root;
  std::size_t offset = 0;  // of the smaller buffer in the larger one, when in place
  bool shared = in_place;
  switch (spec.collective) {
    case Collective::kAllReduce:
      in_count_ = out_count_ = spec.count;
      break;
    case Collective::kReduce:
      in_count_ = spec.count;
      out_count_ = is_root ? spec.count : 0;
      shared = in_place && is_root;
      break;
    case Collective::kBroadcast:
      in_count_ = is_root ? spec.count : 0;
      out_count_ = spec.count;
      shared = in_place && is_root;
      break;
    case Collective::kAllGather:
      in_count_ = spec.counts[rank];
      out_count_ = sum(spec.counts);
      offset = offset_of(spec.counts, self);
      break;
    case Collective::kReduceScatter:
      in_count_ = sum(spec.counts);
      out_count_ = spec.counts[rank];
      offset = offset_of(spec.counts, self);
      break;
    case Collective::kAllToAll:
      in_count_ = sum(spec.send_counts);
      out_count_ = sum(spec.counts);
      shared = false;
      break;
    case Collective::kGather:
      in_count_ = spec.counts[rank];
      out_count_ = is_root ? sum(spec.counts) : 0;
      offset = offset_of(spec.counts, self);
      shared = in_place && is_root;
      break;
    case Collective::kScatter:
      in_count_ = is_root ? sum(spec.counts) : 0;
      out_count_ = spec.counts[rank];
      offset = offset_of(spec.counts, self);
      shared = in_place && is_root;
      break;
    case Collective::kBarrier:
      break;
  }
  in_ = {0, 0, in_count_};
  out_ = {1, 0, out_count_};
  scratch_ = {2, 0, plan.scratch_count};
  partials_ = {3, 0, plan.partial_count};
  if (shared && in_count_ <= out_count_) in_ = {1, offset, in_count_};
  if (shared && in_count_ > out_count_) out_ = {0, offset, out_count_};
  sizes_[in_.memory] = in_count_;
  sizes_[out_.memory] = std::max(sizes_[out_.memory], out_count_);
  sizes_[scratch_.memory] = scratch_.count;
  sizes_[partials_.memory] = partials_.count;
}

Result<Interval> Buffers::locate(const Range& range) const {
  const Place* place = nullptr;
  if (range.space == Space::kIn) place = &in_;
  if (range.space == Space::kOut) place = &out_;
  if (range.space == Space::kScratch) place = &scratch_;
  if (range.space == Space::kPartials) place = &partials_;
  if (place == nullptr && range.count == 0) return Interval{};
  if (place == nullptr || range.offset > place->count ||
      range.count > place->count - range.offset) {
    return Status(StatusCode::kInvalidArgument,
                  "range at " + std::to_string(range.offset) + " of " +
                      std::to_string(range.count) + " elements reaches beyond its buffer of " +
                      std::to_string(place == nullptr ? 0 : place->count));
  }
  const std::size_t begin = place->base + range.offset;
  return Interval{place->memory, begin, begin + range.count};
}

}  // namespace smddp
