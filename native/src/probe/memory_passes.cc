#include "smddp/probe.h"

#include "base/streaming_copy.h"
#include "reduce/reduce.h"

namespace smddp {

// One source and no division: the reduction kernels load, look for NaNs and store.
void pass_in_place(void* buffer, std::size_t bytes) {
  auto* memory = static_cast<std::byte*>(buffer);
  const std::byte* const source = memory;
  reduce_sources(DType::kFloat32, ReduceOp::kSum, 1, {&source, 1}, {&memory, 1},
                 bytes / sizeof(float));
}

void copy_non_temporal(void* target, const void* source, std::size_t bytes) {
  streaming_copy(static_cast<std::byte*>(target), static_cast<const std::byte*>(source), bytes);
}

}  // namespace smddp
