#pragma once

#include <deque>
#include <string>
#include <vector>

#include "provider/nccl/library.h"

namespace smddp::nccl::test {

/// Stands for NCCL's library: notes each call as a line of text, and answers as the test says.
/// There is one at a time, because NCCL's functions have no place for a context.
class FakeNccl {
 public:
  FakeNccl();
  ~FakeNccl();
  FakeNccl(const FakeNccl&) = delete;
  FakeNccl& operator=(const FakeNccl&) = delete;

  /// All functions, of this version.
  Library library(int version = 23203) const;

  /// The lines since the last time, such as "all_reduce 8 float32 sum in+0 out+0".
  std::vector<std::string> taken();

  /// What calls return one after the other, but for those that ask for errors; then success.
  std::deque<ResultCode> answers;
  /// What ncclCommGetAsyncError finds, one after the other; then success.
  std::deque<ResultCode> states;
  std::string last_error;

  // Buffers whose offsets the lines show; of bytes.
  static constexpr std::size_t kBytes = 4096;
  std::vector<std::byte> in = std::vector<std::byte>(kBytes);
  std::vector<std::byte> out = std::vector<std::byte>(kBytes);

  ResultCode note(const std::string& line);
  std::string place(const void* address) const;

 private:
  std::vector<std::string> lines_;
};

/// Where the calls of tests go to; a line that ends with "elsewhere" went to something else.
Comm* fake_comm();
Stream fake_stream();

/// The address of a fake function by NCCL's name for it, null if there is none.
void* fake_symbol(const char* name);

}  // namespace smddp::nccl::test
