#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "smddp/status.h"

#include "memory/mapping.h"
#include "transport/ofi/endpoint.h"
#include "transport/ofi/operation.h"

namespace smddp {

/// Equal pieces of registered memory, each with the operation that uses it.
class Buffers {
 public:
  Buffers() = default;

  static Result<Buffers> create(Endpoint& endpoint, MemoryUse use, std::size_t count,
                                std::size_t bytes_each);

  std::size_t count() const noexcept { return operations_.size(); }
  std::size_t bytes_each() const noexcept { return bytes_each_; }
  std::span<std::byte> bytes(std::uint32_t number) const noexcept {
    return memory_.bytes().subspan(number * bytes_each_, bytes_each_);
  }
  /// The first `size` bytes of a buffer.
  LocalBytes local(std::uint32_t number, std::size_t size) const noexcept {
    return {bytes(number).data(), size, handle_};
  }
  Operation& operation(std::uint32_t number) noexcept { return operations_[number]; }

  /// A free one, the one given back last; all are free at the start.
  std::optional<std::uint32_t> take() noexcept;
  void give_back(std::uint32_t number) noexcept { free_.push_back(number); }

 private:
  Mapping memory_;
  Fid<fid_mr> region_;
  void* handle_ = nullptr;
  std::size_t bytes_each_ = 0;
  std::vector<Operation> operations_;
  std::vector<std::uint32_t> free_;
};

}  // namespace smddp
