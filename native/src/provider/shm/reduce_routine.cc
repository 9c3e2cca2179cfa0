#include <array>
#include <cstring>

#include "provider/shm/routines.h"
#include "reduce/reduce.h"

namespace smddp {
namespace {

// Up to here one synchronisation more costs more than adding everything on every rank.
constexpr std::size_t kDirectBytes = 32 * 1024;

}  // namespace

ReduceRoutine::ReduceRoutine(const ShmCall& call)
    : call_(call),
      window_(call.window(1)),
      // With two ranks adding everything twice costs no more memory traffic than slicing.
      sliced_(call.ranks > 2 && call.step->in.count * call.element_bytes > kDirectBytes) {}

bool ReduceRoutine::wants_result() const {
  return call_.step->collective == Collective::kAllReduce || call_.self == call_.step->root;
}

std::size_t ReduceRoutine::count_in(std::uint64_t round) const {
  return window_count(call_.step->in.count, window_, round);
}

Part ReduceRoutine::slice(int rank, std::size_t count) const {
  return line_slice(count, call_.element_bytes, call_.ranks, rank);
}

void ReduceRoutine::copy_in(std::uint64_t round, std::uint64_t chunk) {
  const std::size_t count = count_in(round);
  if (count == 0) return;  // an empty tensor may have no address, which memcpy does not allow
  const std::size_t begin = static_cast<std::size_t>(round) * window_;
  const std::size_t bytes = count * call_.element_bytes;
  std::memcpy(call_.region->staging(call_.self, chunk, bytes), call_.in_at(begin), bytes);
}

void ReduceRoutine::consume(std::uint64_t round, std::uint64_t chunk) {
  if (!sliced_ && !wants_result()) return;
  const std::size_t count = count_in(round);
  const std::size_t begin = static_cast<std::size_t>(round) * window_;
  const Part part = sliced_ ? slice(call_.self, count) : Part{0, count};
  const std::size_t offset_bytes = part.offset * call_.element_bytes;
  const std::size_t staged_bytes = count * call_.element_bytes;
  for (int rank = 0; rank < call_.ranks; ++rank) {
    call_.sources[static_cast<std::size_t>(rank)] =
        call_.region->staging(rank, chunk, staged_bytes) + offset_bytes;
  }
  // This rank's contribution is still in the user's memory and probably in its cache.
  call_.sources[static_cast<std::size_t>(call_.self)] = call_.in_at(begin + part.offset);
  // Where this rank wants it, and, of a slice, where the others fetch it.
  std::array<std::byte*, 2> targets;
  std::size_t target_count = 0;
  if (wants_result()) targets[target_count++] = call_.out_at(begin + part.offset);
  if (sliced_) targets[target_count++] = call_.region->half(call_.self, chunk) + offset_bytes;
  const Reduction& reduction = call_.step->reduction;
  reduce_sources(call_.dtype, reduction.op, reduction.divisor, call_.sources,
                 std::span(targets).first(target_count), part.count);
}

void ReduceRoutine::copy_out(std::uint64_t round, std::uint64_t chunk) {
  if (!wants_result()) return;
  const std::size_t begin = static_cast<std::size_t>(round) * window_;
  for (int rank = 0; rank < call_.ranks; ++rank) {
    const Part part = slice(rank, count_in(round));
    if (rank == call_.self || part.count == 0) continue;
    std::memcpy(call_.out_at(begin + part.offset),
                call_.region->half(rank, chunk) + part.offset * call_.element_bytes,
                part.count * call_.element_bytes);
  }
}

}  // namespace smddp
