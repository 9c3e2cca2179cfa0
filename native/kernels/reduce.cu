// Sums (and products, minima, ...) of the memory of several ranks, written to one of them or to
// all; and copies from one to others.

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#endif

#include <cmath>

#include "provider/cuda/kernel_arguments.h"

#ifdef __CUDACC__
#include "driver_abi.cuh"
#include "side_by_side.cuh"
#endif
#include "element.cuh"

namespace smddp::cuda {
namespace {

template <class Element>
constexpr int kLanesOf = lanes_of(sizeof(typename Element::Stored),
                                  std::is_floating_point_v<typename Element::Computed>);
/// Packs that a thread has on their way at once. Of eight sources they are a subtree of the
/// canonical tree.
constexpr int kSubtree = 8;
constexpr int kMostThreads = 512;
/// On a multiprocessor. One has 64 KiB on their way, where an H200's memory should need 22 KiB (4.8
/// TB/s for 132 of them, 0.6 us away; not measured), and for two registers would have to be
/// spilled.
constexpr int kLeastBlocks = 1;
constexpr int kPackBytes = 16;  // the most that a thread reads at once

/// Where all of it is: what comes with the call, and what lines tell.
struct Places {
  const std::byte* in[kMostRanks];
  std::byte* out[kMostRanks];
};

/// After what the line tells was read.
__device__ bool holds(const ReduceArguments& call, const RankLine* line) {
  if (line == nullptr) return true;
  if (load_fresh(&line->given_up) == call.turn) return false;
  if (load_fresh(&line->operation) == call.operation) return true;
  if (load_fresh(call.left_out) == 0) store_fresh(call.left_out, call.round);
  return false;
}

/// Lines lie in the host's memory, far away: the threads of a block each read one. Null where there
/// is nothing that holds.
__device__ void find(const ReduceArguments& call, Places& places) {
  for (int k = static_cast<int>(threadIdx.x); k < kMostRanks; k += threads_side_by_side()) {
    const bool asks_in = k < call.sources && call.in[k] == nullptr;
    const bool asks_out = k < call.targets && call.out[k] == nullptr;
    const RankLine* const from = asks_in ? &call.lines[call.first_source + k] : nullptr;
    const RankLine* const to = asks_out ? &call.lines[call.first_target + k] : nullptr;
    auto in = reinterpret_cast<std::uintptr_t>(call.in[k]);
    auto out = reinterpret_cast<std::uintptr_t>(call.out[k]);
    if (asks_in) in = load_fresh(&from->in);
    if (asks_out) out = load_fresh(&to->out);
    if (asks_in || asks_out) __threadfence_system();
    places.in[k] = holds(call, from) ? reinterpret_cast<const std::byte*>(in) : nullptr;
    places.out[k] = holds(call, to) ? reinterpret_cast<std::byte*>(out) : nullptr;
  }
}

/// The bits of all places together; none: some is not known.
__device__ std::uintptr_t bits_of(const ReduceArguments& call, const Places& places) {
  std::uintptr_t bits = 0;
  bool known = true;
  for (int k = 0; k < call.sources; ++k) {
    known = known && places.in[k] != nullptr;
    bits |= reinterpret_cast<std::uintptr_t>(places.in[k]);
  }
  for (int k = 0; k < call.targets; ++k) {
    known = known && places.out[k] != nullptr;
    bits |= reinterpret_cast<std::uintptr_t>(places.out[k]);
  }
  return known ? bits : 0;
}

/// Some elements side by side, and read and written at once.
template <class T, int kLanes>
struct alignas(sizeof(T) * kLanes) Pack {
  T lane[kLanes];
};

/// Integers as unsigned ones, whose overflow is defined to wrap around, and no narrower than int's
/// rank allows; floats as they are.
template <class T>
__device__ auto wrapping(T value) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<std::common_type_t<std::make_unsigned_t<T>, unsigned>>(value);
  } else {
    return value;
  }
}

/// A NaN on either side wins; the left one of equal values (zeros of either sign) does.
template <class T>
__device__ T chosen(bool right_is_better, T left, T right) {
  if constexpr (std::is_floating_point_v<T>) {
    if (right != right) return right;
  }
  return right_is_better ? right : left;
}

template <class T>
__device__ T combined(ReduceOp op, T left, T right) {
  switch (op) {
    case ReduceOp::kProduct:
      return static_cast<T>(wrapping(left) * wrapping(right));
    case ReduceOp::kMin:
      return chosen(right < left, left, right);
    case ReduceOp::kMax:
      return chosen(right > left, left, right);
    case ReduceOp::kAnd:
    case ReduceOp::kOr:
    case ReduceOp::kXor:
      if constexpr (std::is_integral_v<T>) {
        if (op == ReduceOp::kAnd) return left & right;
        return op == ReduceOp::kOr ? left | right : left ^ right;
      }
      return left;
    default:
      return static_cast<T>(wrapping(left) + wrapping(right));
  }
}

template <class Element, int kLanes>
class Values {
 public:
  using Stored = Pack<typename Element::Stored, kLanes>;

  __device__ explicit Values(const Stored& stored) {
#pragma unroll
    for (int k = 0; k < kLanes; ++k) lane_[k] = Element::load(stored.lane[k]);
  }
  __device__ void combine(ReduceOp op, const Values& right) {
#pragma unroll
    for (int k = 0; k < kLanes; ++k) lane_[k] = combined(op, lane_[k], right.lane_[k]);
  }
  __device__ void divide(int divisor) {
#pragma unroll
    for (int k = 0; k < kLanes; ++k)
      lane_[k] = static_cast<typename Element::Computed>(lane_[k] / divisor_as(divisor));
  }
  __device__ Stored stored() const {
    Stored stored;
#pragma unroll
    for (int k = 0; k < kLanes; ++k) stored.lane[k] = Element::store(lane_[k]);
    return stored;
  }

 private:
  using Computed = typename Element::Computed;

  /// The divisor may not fit into a narrow lane.
  static __device__ auto divisor_as(int divisor) {
    using Wide = decltype(Computed{} / 1);
    if constexpr (std::is_unsigned_v<Computed> && sizeof(Computed) >= 4) {
      return static_cast<Computed>(divisor);
    } else {
      return static_cast<Wide>(divisor);
    }
  }

  Computed lane_[kLanes];
};

/// What lies side by side in `kSources` sources from `first` on, as far as there are so many.
template <class Some, int kSources>
__device__ void load(const ReduceArguments& call, const Places& places, int first,
                     std::uint64_t pack, typename Some::Stored (&stored)[kSources]) {
#pragma unroll
  for (int k = 0; k < kSources; ++k) {
    if (first + k < call.sources)
      stored[k] = reinterpret_cast<const typename Some::Stored*>(places.in[first + k])[pack];
  }
}

/// The canonical tree over `kCount` of them from `kFirst` on, of which `some` are there. They are
/// widened as they are added, one branch after the other: that takes fewer registers.
template <class Some, int kFirst, int kCount, int kSources>
__device__ Some tree(const typename Some::Stored (&stored)[kSources], int some, ReduceOp op) {
  if constexpr (kCount == 1) {
    return Some{stored[kFirst]};
  } else {
    constexpr int kHalf = kCount / 2;
    Some left = tree<Some, kFirst, kHalf>(stored, some, op);
    if (kFirst + kHalf < some)
      left.combine(op, tree<Some, kFirst + kHalf, kHalf>(stored, some, op));
    return left;
  }
}

/// The tree over kSubtree sources from `first` on, or as many as there are.
template <class Some>
__device__ Some subtree(const ReduceArguments& call, const Places& places, int first,
                        std::uint64_t pack) {
  typename Some::Stored stored[kSubtree];
  load<Some>(call, places, first, pack, stored);
  return tree<Some, 0, kSubtree>(stored, call.sources - first, call.op);
}

/// The tree over all sources: at most four subtrees, of which the first two make a pair.
template <class Some>
__device__ Some whole_tree(const ReduceArguments& call, const Places& places, std::uint64_t pack) {
  static_assert(kMostRanks <= 4 * kSubtree);
  Some last = subtree<Some>(call, places, 0, pack);
  Some pair = last;  // of the first two subtrees, once there is a third
#pragma unroll 1
  for (int first = kSubtree; first < call.sources; first += kSubtree) {
    const Some next = subtree<Some>(call, places, first, pack);
    if (first == 2 * kSubtree) {
      pair = last;
      last = next;
    } else {
      last.combine(call.op, next);
    }
  }
  if (call.sources <= 2 * kSubtree) return last;
  pair.combine(call.op, last);
  return pair;
}

template <class Some>
__device__ void store(const ReduceArguments& call, const Places& places, std::uint64_t pack,
                      Some value) {
  if (call.op == ReduceOp::kAverage) value.divide(call.sources);
  const typename Some::Stored result = value.stored();
  for (int k = 0; k < call.targets; ++k)
    reinterpret_cast<typename Some::Stored*>(places.out[k])[pack] = result;
}

struct Threads {
  std::uint64_t count = static_cast<std::uint64_t>(gridDim.x) * blockDim.x;
  std::uint64_t own = static_cast<std::uint64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
};

/// Packs from `first` to `end`, of any number of sources.
template <class Some>
__device__ void reduce_many(const ReduceArguments& call, const Places& places, std::uint64_t first,
                            std::uint64_t end) {
  const Threads threads;
  for (std::uint64_t pack = first + threads.own; pack < end; pack += threads.count)
    store(call, places, pack, whole_tree<Some>(call, places, pack));
}

/// The same of up to kSources sources. The fewer they are, the more packs a thread has on their way
/// at once: it is their bytes that keep the memory busy.
template <class Some, int kSources>
__device__ void reduce_few(const ReduceArguments& call, const Places& places, std::uint64_t first,
                           std::uint64_t end) {
  constexpr int kPacks = kSubtree / kSources;
  const Threads threads;
  for (std::uint64_t pack = first + threads.own; pack < end; pack += kPacks * threads.count) {
    typename Some::Stored stored[kPacks][kSources];
#pragma unroll
    for (int k = 0; k < kPacks; ++k) {
      const std::uint64_t at = pack + k * threads.count;
      if (at < end) load<Some>(call, places, 0, at, stored[k]);
    }
#pragma unroll
    for (int k = 0; k < kPacks; ++k) {
      const std::uint64_t at = pack + k * threads.count;
      if (at < end)
        store(call, places, at, tree<Some, 0, kSources>(stored[k], call.sources, call.op));
    }
  }
}

template <class Element>
__device__ void reduce(const ReduceArguments& call) {
  using Wide = Values<Element, kLanesOf<Element>>;
  __shared__ Places places;
  find(call, places);
  __syncthreads();
  const std::uintptr_t bits = bits_of(call, places);
  if (bits == 0) return;
  const std::uint64_t packs = bits % kPackBytes == 0 ? call.count / kLanesOf<Element> : 0;
  if (call.sources > kSubtree) {
    reduce_many<Wide>(call, places, 0, packs);
  } else if (call.sources > 2) {
    reduce_few<Wide, kSubtree>(call, places, 0, packs);
  } else {
    reduce_few<Wide, 2>(call, places, 0, packs);
  }
  reduce_many<Values<Element, 1>>(call, places, packs * kLanesOf<Element>, call.count);
}

/// Bytes as they are, in the widest packs that fit.
__device__ void copy_bytes(const ReduceArguments& call) {
  using Word = Plain<std::uint32_t>;
  constexpr std::uint64_t kWord = sizeof(Word::Stored);
  __shared__ Places places;
  find(call, places);
  __syncthreads();
  const std::uintptr_t bits = bits_of(call, places);
  if (bits == 0) return;
  const std::uint64_t packs = bits % kPackBytes == 0 ? call.count / kPackBytes : 0;
  const std::uint64_t words = bits % kWord == 0 ? call.count / kWord : 0;
  reduce_few<Values<Word, kPackBytes / kWord>, 1>(call, places, 0, packs);
  reduce_few<Values<Word, 1>, 1>(call, places, packs * (kPackBytes / kWord), words);
  reduce_few<Values<Plain<std::uint8_t>, 1>, 1>(call, places, words * kWord, call.count);
}

}  // namespace
}  // namespace smddp::cuda

#define SMDDP_REDUCE(name, ...)                                                  \
  extern "C" __global__ void __launch_bounds__(smddp::cuda::kMostThreads,        \
                                               smddp::cuda::kLeastBlocks)        \
      reduce_##name(const __grid_constant__ smddp::cuda::ReduceArguments call) { \
    smddp::cuda::reduce<smddp::cuda::__VA_ARGS__>(call);                         \
  }

SMDDP_REDUCE(float64, Plain<double>)
SMDDP_REDUCE(float32, Plain<float>)
SMDDP_REDUCE(float16, Float16)
SMDDP_REDUCE(bfloat16, BFloat16)
SMDDP_REDUCE(int8, Plain<std::int8_t>)
SMDDP_REDUCE(int16, Plain<std::int16_t>)
SMDDP_REDUCE(int32, Plain<std::int32_t>)
SMDDP_REDUCE(int64, Plain<std::int64_t>)
SMDDP_REDUCE(uint8, Plain<std::uint8_t>)
SMDDP_REDUCE(uint16, Plain<std::uint16_t>)
SMDDP_REDUCE(uint32, Plain<std::uint32_t>)
SMDDP_REDUCE(uint64, Plain<std::uint64_t>)
SMDDP_REDUCE(bool, Bool)
SMDDP_REDUCE(float8_e4m3fn, Float8<__NV_E4M3>)
SMDDP_REDUCE(float8_e5m2, Float8<__NV_E5M2>)

extern "C" __global__ void __launch_bounds__(smddp::cuda::kMostThreads, smddp::cuda::kLeastBlocks)
    copy_bytes(const __grid_constant__ smddp::cuda::ReduceArguments call) {
  smddp::cuda::copy_bytes(call);
}
