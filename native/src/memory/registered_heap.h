#pragma once

#include <sys/types.h>

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <span>

#include "smddp/status.h"

#include "base/unique_fd.h"
#include "memory/mapping.h"

namespace smddp {

/// This process's memory that the other ranks of its host can reach: one sparse memory file, as
/// large as the machine's memory, which every peer maps whole when it meets this process. So memory
/// that is allocated later needs no exchange, and a place in it is known by its offset. Pages cost
/// nothing until they are touched, and are given back when their block is released.
///
/// It lives until the process ends, because arrays in it may outlive every communicator.
/// Thread-safe. Forked children can neither allocate nor release, and what they write there nobody
/// else sees.
class RegisteredHeap {
 public:
  /// `capacity` bytes of address space, which may be 0.
  static Result<std::unique_ptr<RegisteredHeap>> create(std::size_t capacity);
  /// The process's one, made at the first call; without capacity where the system refuses it.
  static Result<RegisteredHeap*> of_process();
  /// The process's one, or null before it is made.
  static RegisteredHeap* known() noexcept;

  /// Zeroed memory, aligned to a page. kInvalidArgument when there is no room for it in the heap.
  Result<std::byte*> allocate(std::size_t bytes);
  void release(std::byte* block) noexcept;
  /// In a forked child: what it writes from now on is its own.
  void become_private() noexcept;
  /// The block that holds `address`, if any, is never used again: after a failed operation peers
  /// may still write to it.
  void retire(const void* address) noexcept;

  std::span<std::byte> bytes() const noexcept { return mapping_.bytes(); }
  int file() const noexcept { return file_.get(); }

 private:
  struct Block {
    std::size_t bytes;
    bool retired = false;
  };
  using Blocks = std::map<std::size_t, Block>;  ///< by offset

  RegisteredHeap(UniqueFd file, Mapping mapping);
  bool is_elsewhere() const noexcept;
  void give_back(Blocks::node_type block) noexcept;

  UniqueFd file_;
  Mapping mapping_;
  pid_t owner_;
  std::mutex mutex_;
  Blocks blocks_;
  Blocks holes_;  ///< never two side by side
};

}  // namespace smddp
