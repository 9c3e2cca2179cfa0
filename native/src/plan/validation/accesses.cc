#include <algorithm>
#include <string>

#include "plan/partition.h"
#include "plan/validation/buffers.h"

namespace smddp {
namespace {

Status invalid(const std::string& what) { return {StatusCode::kInvalidArgument, what}; }

/// Turns the ranges of one step into intervals.
class Collector {
 public:
  explicit Collector(const Buffers& buffers) : buffers_(buffers) {}

  Status read(const Range& range) { return add(range, accesses_.reads); }
  Status write(const Range& range) {
    if (range.space == Space::kIn) return invalid("writes into the caller's `in`");
    return add(range, accesses_.writes);
  }
  Status read_parts(const Range& range, const std::vector<Part>& parts) {
    for (const Part& part : parts) {
      SMDDP_RETURN_IF_ERROR(check_inside(range, part));
      SMDDP_RETURN_IF_ERROR(read(slice(range, part)));
    }
    return {};
  }
  Status write_parts(const Range& range, const std::vector<Part>& parts) {
    for (const Part& part : parts) {
      SMDDP_RETURN_IF_ERROR(check_inside(range, part));
      SMDDP_RETURN_IF_ERROR(write(slice(range, part)));
    }
    return {};
  }
  /// Checks bounds alone.
  Status check(const Range& range) const { return buffers_.locate(range).status(); }
  Accesses take() { return std::move(accesses_); }

 private:
  static Status check_inside(const Range& range, const Part& part) {
    if (part.offset + part.count <= range.count) return {};
    return invalid("a part reaches beyond its range");
  }
  Status add(const Range& range, std::vector<Interval>& list) {
    Result<Interval> interval = buffers_.locate(range);
    if (!interval.ok()) return interval.status();
    list.push_back(interval.value());
    return {};
  }

  const Buffers& buffers_;
  Accesses accesses_;
};

Status collect_native(const NativeStep& native, int local_rank, int local_ranks, Collector& into) {
  const auto ranks = static_cast<std::size_t>(local_ranks);
  const bool is_root = native.root == local_rank;
  const auto has_parts = [&](const std::vector<Part>& parts) { return parts.size() == ranks; };
  if (native.root < 0 || native.root >= local_ranks) return invalid("root is not a local rank");
  SMDDP_RETURN_IF_ERROR(into.check(native.in));
  SMDDP_RETURN_IF_ERROR(into.check(native.out));
  switch (native.collective) {
    case Collective::kBarrier:
      return {};
    case Collective::kAllReduce:
      SMDDP_RETURN_IF_ERROR(into.read(native.in));
      return into.write(native.out);
    case Collective::kReduce:
      SMDDP_RETURN_IF_ERROR(into.read(native.in));
      return is_root ? into.write(native.out) : Status{};
    case Collective::kBroadcast:
      if (is_root) SMDDP_RETURN_IF_ERROR(into.read(native.in));
      return into.write(native.out);
    case Collective::kReduceScatter:
      if (!has_parts(native.in_parts))
        return invalid("in_parts needs one part for each local rank");
      SMDDP_RETURN_IF_ERROR(into.read_parts(native.in, native.in_parts));
      return into.write(native.out);
    case Collective::kScatter:
      if (!has_parts(native.in_parts))
        return invalid("in_parts needs one part for each local rank");
      if (is_root) SMDDP_RETURN_IF_ERROR(into.read_parts(native.in, native.in_parts));
      return into.write(native.out);
    case Collective::kAllGather:
    case Collective::kGather:
      if (!has_parts(native.out_parts))
        return invalid("out_parts needs one part for each local rank");
      SMDDP_RETURN_IF_ERROR(into.read(native.in));
      if (native.collective == Collective::kGather && !is_root) return {};
      return into.write_parts(native.out, native.out_parts);
    case Collective::kAllToAll:
      if (!has_parts(native.in_parts) || !has_parts(native.out_parts)) {
        return invalid("in_parts and out_parts need one part for each local rank");
      }
      SMDDP_RETURN_IF_ERROR(into.read_parts(native.in, native.in_parts));
      return into.write_parts(native.out, native.out_parts);
  }
  return invalid("unknown collective");
}

/// Additions and native reduce_scatters may round or widen, and copies widen. Partial sums are what
/// may be wider.
Status check_dtypes(const Step& step, const Buffers& buffers) {
  const auto differ = [&](const Range& a, const Range& b) {
    return buffers.dtype_of(a) != buffers.dtype_of(b);
  };
  if (step.kind == StepKind::kNative) {
    const NativeStep& native = step.native;
    const bool may = native.collective == Collective::kReduceScatter;
    return may || !differ(native.in, native.out) ? Status{} : invalid("changes the dtype");
  }
  for (const Range& source : step.sources) {
    if (step.kind == StepKind::kReduce && differ(source, step.sources[0]))
      return invalid("adds elements of different dtypes");
    if (step.kind == StepKind::kCopy && differ(source, step.target) &&
        step.target.space != Space::kPartials)
      return invalid("rounds without adding");
  }
  return {};
}

Status collect(const Step& step, int local_rank, int local_ranks, Collector& into) {
  if (step.kind == StepKind::kNative) {
    return collect_native(step.native, local_rank, local_ranks, into);
  }
  const bool is_single = step.kind == StepKind::kSend || step.kind == StepKind::kCopy;
  if (is_single && step.sources.size() != 1) return invalid("needs exactly one source");
  if (step.kind == StepKind::kReduce && step.sources.empty()) return invalid("has no sources");
  for (const Range& source : step.sources) {
    if (step.kind != StepKind::kSend && source.count != step.target.count) {
      return invalid("source and target counts differ");
    }
    SMDDP_RETURN_IF_ERROR(into.read(source));
  }
  return step.kind == StepKind::kSend ? Status{} : into.write(step.target);
}

/// Whether write number `write` may be exactly the memory of read number `read` in the same step.
bool may_be_in_place(const Step& step, std::size_t read, std::size_t write, int local_rank) {
  const auto self = static_cast<std::size_t>(local_rank);
  if (step.kind != StepKind::kNative) return true;
  switch (step.native.collective) {
    case Collective::kReduceScatter:
    case Collective::kScatter:
      return read == self;
    case Collective::kAllGather:
    case Collective::kGather:
      return write == self;
    case Collective::kAllToAll:
      return false;
    default:
      return true;
  }
}

/// Steps that move elements without changing them leave their own block alone when it is in place.
bool only_moves(const Step& step) {
  if (step.kind == StepKind::kCopy) return true;
  if (step.kind != StepKind::kNative) return false;
  const Collective collective = step.native.collective;
  return collective == Collective::kBroadcast || collective == Collective::kAllGather ||
         collective == Collective::kGather || collective == Collective::kScatter;
}

Status check_own_overlaps(const Step& step, int local_rank, const Accesses& accesses) {
  const std::vector<Interval>& writes = accesses.writes;
  for (std::size_t w = 0; w < writes.size(); ++w) {
    for (std::size_t r = 0; r < accesses.reads.size(); ++r) {
      const Interval& read = accesses.reads[r];
      if (!writes[w].overlaps(read)) continue;
      if (writes[w] == read && may_be_in_place(step, r, w, local_rank)) continue;
      return invalid("overwrites what it reads");
    }
    for (std::size_t other = 0; other < w; ++other) {
      if (writes[w].overlaps(writes[other])) return invalid("writes an element twice");
    }
  }
  return {};
}

}  // namespace

Result<Accesses> accesses_of(const Step& step, const Buffers& buffers, int local_rank,
                             int local_ranks) {
  Collector collector(buffers);
  SMDDP_RETURN_IF_ERROR(collect(step, local_rank, local_ranks, collector));
  SMDDP_RETURN_IF_ERROR(check_dtypes(step, buffers));
  Accesses accesses = collector.take();
  SMDDP_RETURN_IF_ERROR(check_own_overlaps(step, local_rank, accesses));
  const auto is_read = [&](const Interval& write) {
    return std::find(accesses.reads.begin(), accesses.reads.end(), write) != accesses.reads.end();
  };
  if (only_moves(step)) std::erase_if(accesses.writes, is_read);
  std::erase_if(accesses.reads, [](const Interval& i) { return i.begin == i.end; });
  std::erase_if(accesses.writes, [](const Interval& i) { return i.begin == i.end; });
  return accesses;
}

}  // namespace smddp
