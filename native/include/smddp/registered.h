#pragma once

#include <cstddef>
#include <utility>

#include "smddp/export.h"
#include "smddp/status.h"

namespace smddp {

class RegisteredHeap;

/// Memory of this process that the other ranks of its host can read and write. Collectives whose
/// buffers lie in it on all of them need no copies to and from staging memory.
///
/// Allocating is no collective call, and a block may outlive every communicator. A child made by
/// fork() sees in an inherited block what its parent last wrote, until it writes there itself; what
/// it writes is its own.
class SMDDP_API RegisteredBlock {
 public:
  /// Zeroed and aligned to a page, of which it takes whole ones. kInvalidArgument: there is no
  /// room.
  static Result<RegisteredBlock> allocate(std::size_t bytes);

  RegisteredBlock(RegisteredBlock&& other) noexcept
      : heap_(other.heap_), data_(std::exchange(other.data_, nullptr)), size_(other.size_) {}
  RegisteredBlock(const RegisteredBlock&) = delete;
  RegisteredBlock& operator=(const RegisteredBlock&) = delete;
  RegisteredBlock& operator=(RegisteredBlock&&) = delete;
  ~RegisteredBlock();

  std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }  ///< bytes, as asked for

 private:
  RegisteredBlock(RegisteredHeap* heap, std::byte* data, std::size_t size) noexcept
      : heap_(heap), data_(data), size_(size) {}

  RegisteredHeap* heap_;  ///< never ends
  std::byte* data_;
  std::size_t size_;
};

}  // namespace smddp
