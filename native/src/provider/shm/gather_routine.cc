#include <cstring>

#include "base/streaming_copy.h"
#include "provider/shm/routines.h"

namespace smddp {

GatherRoutine::GatherRoutine(const ShmCall& call) : call_(call), window_(call.window(1)) {}

std::uint64_t GatherRoutine::rounds() const {
  std::size_t longest = 0;
  for (int rank = 0; rank < call_.ranks; ++rank)
    longest = std::max(longest, contribution(rank).count);
  return window_rounds(longest, window_);
}

void GatherRoutine::copy_in(std::uint64_t round, std::uint64_t chunk) {
  const std::size_t count = window_count(contribution(call_.self).count, window_, round);
  if (count == 0) return;
  const std::size_t begin = static_cast<std::size_t>(round) * window_;
  const std::size_t bytes = count * call_.element_bytes;
  std::memcpy(call_.region->staging(call_.self, chunk, bytes), call_.in_at(begin), bytes);
}

void GatherRoutine::consume(std::uint64_t round, std::uint64_t chunk) {
  if (call_.step->collective == Collective::kGather && call_.self != call_.step->root) return;
  // Its own first: another's part may lie where this rank's contribution comes from.
  fetch(call_.self, round, chunk);
  for (int rank = 0; rank < call_.ranks; ++rank) {
    if (rank != call_.self) fetch(rank, round, chunk);
  }
}

void GatherRoutine::fetch(int rank, std::uint64_t round, std::uint64_t chunk) {
  const Part part = contribution(rank);
  const std::size_t count = window_count(part.count, window_, round);
  if (count == 0) return;
  const std::size_t begin = static_cast<std::size_t>(round) * window_;
  const std::size_t bytes = count * call_.element_bytes;
  std::byte* const target = call_.out_at(part.offset + begin);
  // This rank's contribution is still in its cache.
  const std::byte* const source =
      rank == call_.self ? call_.in_at(begin) : call_.region->staging(rank, chunk, bytes);
  if (source == target) return;
  copy_of_whole(target, source, bytes, call_.step->out.count * call_.element_bytes);
}

}  // namespace smddp
