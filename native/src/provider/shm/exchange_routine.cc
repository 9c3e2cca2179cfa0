#include <cstring>

#include "base/streaming_copy.h"
#include "provider/shm/routines.h"

namespace smddp {

ExchangeRoutine::ExchangeRoutine(const ShmCall& call)
    : call_(call),
      piece_bytes_(call.piece_bytes(static_cast<std::size_t>(call.ranks))),
      window_((piece_bytes_ - kCacheLine) / call.element_bytes) {}

// A rank knows only what it sends and receives; the provider uses the largest number that any rank
// needs.
std::uint64_t ExchangeRoutine::rounds() const {
  std::size_t longest = 0;
  for (const Part& part : call_.step->in_parts) longest = std::max(longest, part.count);
  for (const Part& part : call_.step->out_parts) longest = std::max(longest, part.count);
  return window_rounds(longest, window_);
}

std::byte* ExchangeRoutine::piece(int from, int to, std::uint64_t chunk) const {
  return call_.region->half(from, chunk) + static_cast<std::size_t>(to) * piece_bytes_;
}

void ExchangeRoutine::tell(std::uint64_t chunk) {
  for (int rank = 0; rank < call_.ranks; ++rank) {
    const Part& part = call_.step->in_parts[static_cast<std::size_t>(rank)];
    std::memcpy(piece(call_.self, rank, chunk), &part, sizeof(part));
  }
}

Part ExchangeRoutine::told(int from, int to, std::uint64_t chunk) const {
  Part part;
  std::memcpy(&part, piece(from, to, chunk), sizeof(part));
  return part;
}

int ExchangeRoutine::disagreeing_rank(std::uint64_t chunk) const {
  for (int rank = 0; rank < call_.ranks; ++rank) {
    const std::size_t expected = call_.step->out_parts[static_cast<std::size_t>(rank)].count;
    if (rank != call_.self && told(rank, call_.self, chunk).count != expected) return rank;
  }
  return -1;
}

void ExchangeRoutine::copy_in(std::uint64_t round, std::uint64_t chunk) {
  if (round == 0) tell(chunk);
  const std::size_t begin = static_cast<std::size_t>(round) * window_;
  for (int rank = 0; rank < call_.ranks; ++rank) {
    if (rank == call_.self) continue;
    const Part& part = call_.step->in_parts[static_cast<std::size_t>(rank)];
    const std::size_t count = window_count(part.count, window_, round);
    if (count == 0) continue;
    std::memcpy(staged(call_.self, rank, chunk), call_.in_at(part.offset + begin),
                count * call_.element_bytes);
  }
}

void ExchangeRoutine::consume(std::uint64_t round, std::uint64_t chunk) {
  const std::size_t begin = static_cast<std::size_t>(round) * window_;
  for (int rank = 0; rank < call_.ranks; ++rank) {
    const auto index = static_cast<std::size_t>(rank);
    const Part& part = call_.step->out_parts[index];
    const std::size_t count = window_count(part.count, window_, round);
    if (count == 0) continue;
    const std::byte* source = rank == call_.self
                                  ? call_.in_at(call_.step->in_parts[index].offset + begin)
                                  : staged(rank, call_.self, chunk);
    copy_of_whole(call_.out_at(part.offset + begin), source, count * call_.element_bytes,
                  call_.step->out.count * call_.element_bytes);
  }
}

}  // namespace smddp
