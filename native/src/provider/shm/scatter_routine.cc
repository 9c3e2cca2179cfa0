#include <cstring>

#include "provider/shm/routines.h"
#include "reduce/reduce.h"

namespace smddp {

// Only parts that are not empty get a share of the half.
ScatterRoutine::ScatterRoutine(const ShmCall& call)
    : call_(call), window_(call.window(std::max<std::size_t>(share_of(call.ranks), 1))) {}

std::size_t ScatterRoutine::share_of(int part) const {
  const auto begin = call_.step->in_parts.begin();
  return static_cast<std::size_t>(
      std::count_if(begin, begin + part, [](const Part& earlier) { return earlier.count > 0; }));
}

std::uint64_t ScatterRoutine::rounds() const {
  std::size_t longest = 0;
  for (const Part& part : call_.step->in_parts) longest = std::max(longest, part.count);
  return window_rounds(longest, window_);
}

std::byte* ScatterRoutine::staged(int owner, int part, std::uint64_t chunk) const {
  return call_.region->half(owner, chunk) + share_of(part) * window_ * call_.element_bytes;
}

void ScatterRoutine::copy_in(std::uint64_t round, std::uint64_t chunk) {
  const std::size_t begin = static_cast<std::size_t>(round) * window_;
  for (int rank = 0; rank < call_.ranks; ++rank) {
    const Part& part = call_.step->in_parts[static_cast<std::size_t>(rank)];
    const std::size_t count = window_count(part.count, window_, round);
    if (count == 0 || rank == call_.self) continue;
    std::memcpy(staged(call_.self, rank, chunk), call_.in_at(part.offset + begin),
                count * call_.element_bytes);
  }
}

void ScatterRoutine::consume(std::uint64_t round, std::uint64_t chunk) {
  const auto self = static_cast<std::size_t>(call_.self);
  const Part& own = call_.step->in_parts[self];
  const std::size_t begin = static_cast<std::size_t>(round) * window_;
  const std::size_t count = window_count(own.count, window_, round);
  if (count == 0) return;
  for (int rank = 0; rank < call_.ranks; ++rank) {
    call_.sources[static_cast<std::size_t>(rank)] = staged(rank, call_.self, chunk);
  }
  call_.sources[self] = call_.in_at(own.offset + begin);
  const Reduction& reduction = call_.step->reduction;
  std::byte* const target = call_.out_at(begin);
  reduce_sources({call_.dtype, call_.out_dtype}, reduction.op, reduction.divisor, call_.sources,
                 {&target, 1}, count);
}

}  // namespace smddp
