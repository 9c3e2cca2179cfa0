#include <cstring>

#include "base/streaming_copy.h"
#include "provider/shm/routines.h"

namespace smddp {

// Only the root stages, and only parts of others that are not empty get a share of its half.
DistributeRoutine::DistributeRoutine(const ShmCall& call)
    : call_(call), window_(call.window(std::max<std::size_t>(share_of(call.ranks), 1))) {}

std::size_t DistributeRoutine::share_of(int rank) const {
  std::size_t shares = 0;
  for (int earlier = 0; earlier < rank; ++earlier) {
    if (earlier != call_.step->root && block_of(earlier).count > 0) ++shares;
  }
  return shares;
}

std::uint64_t DistributeRoutine::rounds() const {
  std::size_t longest = 0;
  for (const Part& part : call_.step->in_parts) longest = std::max(longest, part.count);
  return window_rounds(longest, window_);
}

std::byte* DistributeRoutine::staged(int rank, std::uint64_t chunk) const {
  return call_.region->half(call_.step->root, chunk) +
         share_of(rank) * window_ * call_.element_bytes;
}

void DistributeRoutine::copy_in(std::uint64_t round, std::uint64_t chunk) {
  if (call_.self != call_.step->root) return;
  const std::size_t begin = static_cast<std::size_t>(round) * window_;
  for (int rank = 0; rank < call_.ranks; ++rank) {
    const std::size_t count = window_count(block_of(rank).count, window_, round);
    if (count == 0 || rank == call_.self) continue;
    std::memcpy(staged(rank, chunk), call_.in_at(block_of(rank).offset + begin),
                count * call_.element_bytes);
  }
}

void DistributeRoutine::consume(std::uint64_t round, std::uint64_t chunk) {
  const Part own = block_of(call_.self);
  const std::size_t count = window_count(own.count, window_, round);
  if (count == 0) return;
  const std::size_t begin = static_cast<std::size_t>(round) * window_;
  std::byte* const target = call_.out_at(begin);
  const std::byte* const source =
      call_.self == call_.step->root ? call_.in_at(own.offset + begin) : staged(call_.self, chunk);
  if (source == target) return;
  copy_of_whole(target, source, count * call_.element_bytes, own.count * call_.element_bytes);
}

}  // namespace smddp
