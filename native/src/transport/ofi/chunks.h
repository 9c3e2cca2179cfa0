#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace smddp {

class Channel;

/// How a long message is cut.
struct ChunkRule {
  std::size_t rails = 1;
  std::size_t stripe_bytes = 0;     ///< with several rails: a chunk is not made shorter than this
  std::size_t longest_message = 0;  ///< that a rail carries
};

/// The size of the pieces in which `bytes` travel; the last may be shorter. All rails get equally
/// many, where the message is long enough.
std::size_t chunk_bytes_of(std::size_t bytes, const ChunkRule& rule) noexcept;
std::size_t chunks_in(std::size_t bytes, std::size_t chunk_bytes) noexcept;

/// The long messages that are under way to this rank, over whichever rails.
class Slots {
 public:
  struct Slot {
    Channel* channel = nullptr;  ///< null: free
    std::uint64_t sequence = 0;
    std::size_t chunks = 0;
  };

  /// What may be under way at once. The completion queue of each rail has room for it.
  static constexpr std::size_t kMostChunks = 4096;

  /// Nothing when as much as may be is under way already.
  std::optional<std::uint32_t> open(Channel& channel, std::uint64_t sequence, std::size_t chunks);
  void close(std::uint32_t number);
  /// Null when no message is under way there.
  const Slot* find(std::uint32_t number) const noexcept;

 private:
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
  std::size_t chunks_ = 0;
};

}  // namespace smddp
