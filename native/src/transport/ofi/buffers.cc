#include "transport/ofi/buffers.h"

#include <utility>

namespace smddp {

Result<Buffers> Buffers::create(Endpoint& endpoint, MemoryUse use, std::size_t count,
                                std::size_t bytes_each) {
  Buffers buffers;
  Result<Mapping> memory = Mapping::anonymous(count * bytes_each);
  if (!memory.ok()) return memory.status();
  buffers.memory_ = std::move(memory).value();
  if (endpoint.registers_local()) {
    Result<Fid<fid_mr>> region = endpoint.register_memory(buffers.memory_.bytes(), use);
    if (!region.ok()) return region.status();
    buffers.region_ = std::move(region).value();
    buffers.handle_ = ::fi_mr_desc(buffers.region_.get());
  }
  buffers.bytes_each_ = bytes_each;
  buffers.operations_.resize(count);
  for (std::uint32_t number = 0; number < count; ++number) {
    Operation& operation = buffers.operations_[number];
    operation.kind = use == MemoryUse::kTarget ? OperationKind::kReceive : OperationKind::kSend;
    operation.number = number;
    buffers.free_.push_back(static_cast<std::uint32_t>(count) - 1 - number);
  }
  return buffers;
}

std::optional<std::uint32_t> Buffers::take() noexcept {
  if (free_.empty()) return std::nullopt;
  const std::uint32_t number = free_.back();
  free_.pop_back();
  return number;
}

}  // namespace smddp
