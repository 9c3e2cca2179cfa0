#pragma once

#include <algorithm>

#include "provider/shm/routine.h"

namespace smddp {

/// Elements of window number `round` in a part of `count` elements.
inline std::size_t window_count(std::size_t count, std::size_t window, std::uint64_t round) {
  const std::size_t begin = static_cast<std::size_t>(round) * window;
  return begin >= count ? 0 : std::min(window, count - begin);
}
inline std::uint64_t window_rounds(std::size_t count, std::size_t window) {
  if (count <= window) return count > 0 ? 1 : 0;  // small operations shall not pay for a division
  return (count + window - 1) / window;
}

/// Slice number `rank` of `count` elements. Slices start on cache lines, so that two ranks never
/// write to the same line.
inline Part line_slice(std::size_t count, std::size_t element_bytes, int ranks, int rank) {
  const std::size_t line = kCacheLine / element_bytes;
  const auto slices = static_cast<std::size_t>(ranks);
  const std::size_t step = ((count + slices - 1) / slices + line - 1) / line * line;
  const std::size_t begin = std::min(count, static_cast<std::size_t>(rank) * step);
  return {begin, std::min(count, begin + step) - begin};
}

/// What a rank brings to all_gather, gather or broadcast, and where it lies in the result.
inline Part contribution_of(const NativeStep& step, int rank) {
  if (step.collective != Collective::kBroadcast)
    return step.out_parts[static_cast<std::size_t>(rank)];
  return rank == step.root ? Part{0, step.out.count} : Part{};
}

class BarrierRoutine final : public ShmRoutine {
 public:
  std::uint64_t rounds() const override { return 1; }
  void copy_in(std::uint64_t, std::uint64_t) override {}
  void consume(std::uint64_t, std::uint64_t) override {}
};

/// all_reduce and reduce. Direct: whoever needs the result adds everything itself (one
/// synchronisation). Sliced: each rank adds one slice in its own half, then the slices are fetched
/// (two, but each byte is added once).
class ReduceRoutine final : public ShmRoutine {
 public:
  explicit ReduceRoutine(const ShmCall& call);
  std::uint64_t rounds() const override { return window_rounds(call_.step->in.count, window_); }
  bool has_second_stage() const override { return sliced_; }
  void copy_in(std::uint64_t round, std::uint64_t chunk) override;
  void consume(std::uint64_t round, std::uint64_t chunk) override;
  void copy_out(std::uint64_t round, std::uint64_t chunk) override;

 private:
  bool wants_result() const;
  std::size_t count_in(std::uint64_t round) const;
  Part slice(int rank, std::size_t count) const;

  const ShmCall& call_;
  std::size_t window_;
  bool sliced_;
};

/// reduce_scatter: each rank stages what the others own and adds its own part.
class ScatterRoutine final : public ShmRoutine {
 public:
  explicit ScatterRoutine(const ShmCall& call);
  std::uint64_t rounds() const override;
  void copy_in(std::uint64_t round, std::uint64_t chunk) override;
  void consume(std::uint64_t round, std::uint64_t chunk) override;

 private:
  std::byte* staged(int owner, int part, std::uint64_t chunk) const;
  std::size_t share_of(int part) const;

  const ShmCall& call_;
  std::size_t window_;
};

/// scatter: the root stages what the others get.
class DistributeRoutine final : public ShmRoutine {
 public:
  explicit DistributeRoutine(const ShmCall& call);
  std::uint64_t rounds() const override;
  void copy_in(std::uint64_t round, std::uint64_t chunk) override;
  void consume(std::uint64_t round, std::uint64_t chunk) override;

 private:
  const Part& block_of(int rank) const {
    return call_.step->in_parts[static_cast<std::size_t>(rank)];
  }
  std::byte* staged(int rank, std::uint64_t chunk) const;
  std::size_t share_of(int rank) const;

  const ShmCall& call_;
  std::size_t window_;
};

/// all_gather, gather and broadcast (where only the root contributes).
class GatherRoutine final : public ShmRoutine {
 public:
  explicit GatherRoutine(const ShmCall& call);
  std::uint64_t rounds() const override;
  void copy_in(std::uint64_t round, std::uint64_t chunk) override;
  void consume(std::uint64_t round, std::uint64_t chunk) override;

 private:
  Part contribution(int rank) const { return contribution_of(*call_.step, rank); }
  void fetch(int rank, std::uint64_t round, std::uint64_t chunk);

  const ShmCall& call_;
  std::size_t window_;
};

/// all_to_all. Where and how long parts are is known to the sender alone, so each piece begins with
/// a cache line that says it.
class ExchangeRoutine final : public ShmRoutine {
 public:
  explicit ExchangeRoutine(const ShmCall& call);
  std::uint64_t rounds() const override;
  void tell(std::uint64_t chunk) override;
  void copy_in(std::uint64_t round, std::uint64_t chunk) override;
  void consume(std::uint64_t round, std::uint64_t chunk) override;
  int disagreeing_rank(std::uint64_t chunk) const override;
  /// What `from` has told of its part for `to`.
  Part told(int from, int to, std::uint64_t chunk) const;

 private:
  std::byte* piece(int from, int to, std::uint64_t chunk) const;
  std::byte* staged(int from, int to, std::uint64_t chunk) const {
    return piece(from, to, chunk) + kCacheLine;
  }

  const ShmCall& call_;
  std::size_t piece_bytes_;
  std::size_t window_;
};

}  // namespace smddp
