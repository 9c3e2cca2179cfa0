#include "smddp/registered.h"

#include "memory/registered_heap.h"

namespace smddp {

Result<RegisteredBlock> RegisteredBlock::allocate(std::size_t bytes) {
  Result<RegisteredHeap*> heap = RegisteredHeap::of_process();
  if (!heap.ok()) return heap.status();
  Result<std::byte*> data = heap.value()->allocate(bytes);
  if (!data.ok()) return data.status();
  return RegisteredBlock{heap.value(), data.value(), bytes};
}

RegisteredBlock::~RegisteredBlock() {
  if (data_ != nullptr) heap_->release(data_);
}

}  // namespace smddp
