#include <cstring>

#include "provider/shm/routines.h"

namespace smddp {

GatherRoutine::GatherRoutine(const ShmCall& call) : call_(call), window_(call.window(1)) {}

Part GatherRoutine::contribution(int rank) const {
  const NativeStep& step = *call_.step;
  if (step.collective != Collective::kBroadcast)
    return step.out_parts[static_cast<std::size_t>(rank)];
  return rank == step.root ? Part{0, step.out.count} : Part{};
}

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

void GatherRoutine::keep_own() {
  const Part own = contribution(call_.self);
  std::byte* target = call_.out_at(own.offset);
  if (own.count > 0 && target != call_.in)
    std::memcpy(target, call_.in, own.count * call_.element_bytes);
}

void GatherRoutine::consume(std::uint64_t round, std::uint64_t chunk) {
  if (call_.step->collective == Collective::kGather && call_.self != call_.step->root) return;
  if (round == 0) keep_own();
  const std::size_t begin = static_cast<std::size_t>(round) * window_;
  for (int rank = 0; rank < call_.ranks; ++rank) {
    const Part part = contribution(rank);
    const std::size_t count = window_count(part.count, window_, round);
    if (count == 0 || rank == call_.self) continue;
    const std::size_t bytes = count * call_.element_bytes;
    std::memcpy(call_.out_at(part.offset + begin), call_.region->staging(rank, chunk, bytes),
                bytes);
  }
}

}  // namespace smddp
