#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "base/completion.h"
#include "transport/ring_queue.h"
#include "transport/stream/byte_stream.h"
#include "transport/stream/frame.h"
#include "transport/stream/pumped.h"
#include "transport/transport.h"

namespace smddp {

/// Frames on their way to one peer, in order.
class Outbox {
 public:
  void push_data(const SendDesc& send, Token token);
  void push_notice(std::span<const std::byte> bytes);
  /// Writes what the stream takes and reports the sends that are handed over completely.
  Pumped pump(ByteStream& stream, CompletionSink& sink);
  /// So many bytes more have been written than `pump` was told.
  void skip(std::size_t bytes) { account(bytes); }
  /// Forgets the data. A frame that is partly written is finished from a copy.
  void abandon();
  /// Forgets everything: the peer is gone.
  void clear() { queue_ = {}; }

  bool empty() const noexcept { return queue_.empty(); }
  bool has_data() const noexcept;

 private:
  struct Outgoing {
    FrameHeader header;
    const std::byte* data = nullptr;  ///< of the last `header.bytes - skipped` bytes
    std::size_t skipped = 0;     ///< payload bytes that were written before the rest was copied
    std::size_t sent = 0;        ///< of header and payload together
    std::optional<Token> token;  ///< none: nobody waits for it
    std::vector<std::byte> owned;

    std::size_t size() const noexcept { return sizeof(header) + header.bytes; }
  };
  static constexpr std::size_t kFramesAtOnce = 16;
  using Pieces = std::array<iovec, 2 * kFramesAtOnce>;

  std::size_t gather(Pieces& pieces);
  void account(std::size_t bytes);
  void retire(CompletionSink& sink);
  static void own_payload(Outgoing& frame);

  RingQueue<Outgoing> queue_;
};

}  // namespace smddp
