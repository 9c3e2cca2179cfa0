#pragma once

#include <memory>
#include <utility>

#include "smddp/registered.h"

#include "backend.h"

namespace smddp::torch_adapter {

// Memory for tensors of torch's own: DistributedDataParallel asks for its buckets' here, FSDP2
// where its user wants it.

/// Accelerators have indices from 0; the CPU has none.
inline bool SmddpBackend::supportsTensorAlloc(c10::DeviceIndex device) { return device < 0; }

/// `size` elements in registered memory, or in ordinary memory when there is no room there. Not
/// initialised.
inline at::Tensor SmddpBackend::allocateTensor(long size, at::TensorOptions options) {
  const std::size_t bytes = static_cast<std::size_t>(size) * options.dtype().itemsize();
  if (!options.device().is_cpu() || bytes == 0) return at::empty({size}, options);
  Result<RegisteredBlock> allocated = RegisteredBlock::allocate(bytes);
  if (!allocated.ok()) return at::empty({size}, options);
  auto block = std::make_shared<RegisteredBlock>(std::move(allocated).value());
  return at::from_blob(block->data(), {size}, [block](void*) mutable { block.reset(); }, options);
}

}  // namespace smddp::torch_adapter
