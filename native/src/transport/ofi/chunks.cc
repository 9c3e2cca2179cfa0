#include "transport/ofi/chunks.h"

#include <algorithm>

#include "transport/ofi/message.h"

namespace smddp {
namespace {

// Of EFA's road to its full speed, and few enough of them that one message leaves room for others.
constexpr std::size_t kChunkBytes = std::size_t{512} << 10;
constexpr std::size_t kMostOfMessage = 256;
constexpr std::size_t kPage = 4096;

std::size_t quotient_up(std::size_t a, std::size_t b) { return (a + b - 1) / b; }
std::size_t whole_pages(std::size_t bytes) { return quotient_up(bytes, kPage) * kPage; }

}  // namespace

std::size_t chunk_bytes_of(std::size_t bytes, const ChunkRule& rule) noexcept {
  std::size_t size = std::max(kChunkBytes, whole_pages(quotient_up(bytes, kMostOfMessage)));
  if (rule.rails > 1) {
    const std::size_t even = quotient_up(chunks_in(bytes, size), rule.rails) * rule.rails;
    const std::size_t most = std::max<std::size_t>(1, bytes / rule.stripe_bytes);
    size = whole_pages(quotient_up(bytes, std::min(even, most)));
  }
  return std::min(size, rule.longest_message);
}

std::size_t chunks_in(std::size_t bytes, std::size_t chunk_bytes) noexcept {
  return quotient_up(bytes, chunk_bytes);
}

std::optional<std::uint32_t> Slots::open(Channel& channel, std::uint64_t sequence,
                                         std::size_t chunks) {
  // One message that is larger than the bound has to pass some time.
  if (chunks_ > 0 && chunks_ + chunks > kMostChunks) return std::nullopt;
  if (free_.empty()) {
    if (slots_.size() == kMostSlots) return std::nullopt;
    free_.push_back(static_cast<std::uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const std::uint32_t number = free_.back();
  free_.pop_back();
  slots_[number] = {&channel, sequence, chunks};
  chunks_ += chunks;
  return number;
}

void Slots::close(std::uint32_t number) {
  chunks_ -= slots_[number].chunks;
  slots_[number] = {};
  free_.push_back(number);
}

const Slots::Slot* Slots::find(std::uint32_t number) const noexcept {
  if (number >= slots_.size() || slots_[number].channel == nullptr) return nullptr;
  return &slots_[number];
}

}  // namespace smddp
