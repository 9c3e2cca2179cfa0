#pragma once

#include <cstddef>
#include <span>

#include "smddp/status.h"

#include "base/unique_fd.h"

namespace smddp {

/// What a forked child finds at the address of a mapping.
enum class InChildren : bool { kNothing, kShared };

/// Owns one mmap'ed region. The engine's own are hidden from forked children, which may not use it.
class Mapping {
 public:
  Mapping() noexcept = default;
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();

  /// Maps `bytes` of a shared-memory descriptor.
  static Result<Mapping> shared(int fd, std::size_t bytes);
  /// Maps `bytes` of a sparse descriptor, most of which will never be touched; 0 is legal. Core
  /// dumps leave it out, because writing them would fill the holes.
  static Result<Mapping> sparse(int fd, std::size_t bytes, InChildren in_children);
  /// Zeroed memory of this process alone, for a group with one rank per host.
  static Result<Mapping> anonymous(std::size_t bytes);

  std::span<std::byte> bytes() const noexcept { return {data_, size_}; }

 private:
  Mapping(std::byte* data, std::size_t size) noexcept : data_(data), size_(size) {}
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// A memory file without a name: it vanishes with the last process that has it mapped, even after
/// kill -9.
Result<UniqueFd> create_memory_file(std::size_t bytes);

}  // namespace smddp
