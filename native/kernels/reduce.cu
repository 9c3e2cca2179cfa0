// Sums (and products, minima, ...) of the memory of several ranks, written to one of them or to
// all.

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#endif

#include <cmath>

#include "provider/cuda/kernel_arguments.h"

#ifdef __CUDACC__
#include "driver_abi.cuh"
#endif
#include "element.cuh"

namespace smddp::cuda {
namespace {

template <class Element>
constexpr int kLanesOf = lanes_of(sizeof(typename Element::Stored),
                                  std::is_floating_point_v<typename Element::Computed>);
/// Sources whose values a thread holds at once. Eight are a subtree of the canonical tree.
constexpr int kSubtree = 8;
constexpr int kMostThreads = 512;

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

  __device__ void load(const std::byte* from, std::uint64_t pack) {
    const Stored stored = reinterpret_cast<const Stored*>(from)[pack];
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

/// The tree over kSubtree sources from `first` on, or as many as there are.
template <class Some>
__device__ Some subtree(const ReduceArguments& call, int first, std::uint64_t pack) {
  Some values[kSubtree];
#pragma unroll
  for (int k = 0; k < kSubtree; ++k) {
    if (first + k < call.sources) values[k].load(call.in[first + k], pack);
  }
#pragma unroll
  for (int distance = 1; distance < kSubtree; distance *= 2) {
#pragma unroll
    for (int k = 0; k + distance < kSubtree; k += 2 * distance) {
      if (first + k + distance < call.sources) values[k].combine(call.op, values[k + distance]);
    }
  }
  return values[0];
}

/// The tree over all sources: at most four subtrees, of which the first two make a pair.
template <class Some>
__device__ Some tree(const ReduceArguments& call, std::uint64_t pack) {
  static_assert(kMostRanks <= 4 * kSubtree);
  Some last = subtree<Some>(call, 0, pack);
  Some pair = last;  // of the first two subtrees, once there is a third
#pragma unroll 1
  for (int first = kSubtree; first < call.sources; first += kSubtree) {
    const Some next = subtree<Some>(call, first, pack);
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

/// Packs from `first` on, as many as the count of elements has.
template <class Element, int kLanes>
__device__ void reduce_packs(const ReduceArguments& call, std::uint64_t first) {
  using Stored = typename Values<Element, kLanes>::Stored;
  const std::uint64_t threads = static_cast<std::uint64_t>(gridDim.x) * blockDim.x;
  const std::uint64_t thread = static_cast<std::uint64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  for (std::uint64_t pack = first + thread; pack < call.count / kLanes; pack += threads) {
    auto value = tree<Values<Element, kLanes>>(call, pack);
    if (call.op == ReduceOp::kAverage) value.divide(call.sources);
    const Stored result = value.stored();
    for (int k = 0; k < call.targets; ++k) reinterpret_cast<Stored*>(call.out[k])[pack] = result;
  }
}

template <class Element>
__device__ void reduce(const ReduceArguments& call) {
  constexpr int kLanes = kLanesOf<Element>;
  if (!call.aligned) return reduce_packs<Element, 1>(call, 0);
  reduce_packs<Element, kLanes>(call, 0);
  reduce_packs<Element, 1>(call, call.count / kLanes * kLanes);
}

}  // namespace
}  // namespace smddp::cuda

#define SMDDP_REDUCE(name, ...)                                                  \
  extern "C" __global__ void __launch_bounds__(smddp::cuda::kMostThreads)        \
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
