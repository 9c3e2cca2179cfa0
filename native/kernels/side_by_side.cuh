#pragma once

// What kernels need of the GPU itself; native/tests/fake_gpu/cuda_on_cpu.h has the same for the
// processor.

namespace smddp::cuda {

/// How many threads of a block run at the same time.
__device__ inline int threads_side_by_side() { return static_cast<int>(blockDim.x); }

/// What others have written to memory of the host: never from a cache.
template <class T>
__device__ T load_fresh(const T* from) {
  return *static_cast<const volatile T*>(from);
}

/// For the host, before the stream goes on.
template <class T>
__device__ void store_fresh(T* to, T value) {
  *static_cast<volatile T*>(to) = value;
}

}  // namespace smddp::cuda
