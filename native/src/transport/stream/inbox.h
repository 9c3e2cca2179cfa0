#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <optional>

#include "smddp/status.h"
#include "smddp/types.h"

#include "base/completion.h"
#include "transport/posted_receive.h"
#include "transport/ring_queue.h"
#include "transport/stream/byte_stream.h"
#include "transport/stream/frame.h"
#include "transport/stream/pumped.h"

namespace smddp {

/// Frames coming from one peer. Large payloads go from the stream straight into the posted buffer.
/// While the first frame has no posted receive nothing more is read, so the peer is slowed down.
class Inbox {
 public:
  explicit Inbox(Rank peer) : peer_(peer) {}

  void post(const RecvDesc& recv, Token token) { receives_.push({recv, token}); }
  /// Reads what the stream has and reports what is complete. `failure` after everything that had
  /// arrived.
  Pumped pump(ByteStream& stream, CompletionSink& sink);
  /// Forgets the receives; from now on data are thrown away and only notices are reported.
  void abandon();

  /// True when the next frame waits for a receive, or does not fit the one that is posted.
  bool is_held() const noexcept { return held_; }

 private:
  enum class Need : unsigned char { kBytes, kReceive, kNothing };

  Need consume(CompletionSink& sink, Pumped& result);
  Need consume_notice(CompletionSink& sink, Pumped& result);
  Need consume_data(CompletionSink& sink, Pumped& result);
  bool accept_header(Pumped& result);
  bool may_start(CompletionSink& sink);
  ssize_t read(ByteStream& stream);
  void take_payload();
  Status end_of_stream() const;

  std::size_t buffered() const noexcept { return end_ - begin_; }
  bool in_payload() const noexcept { return head_.has_value() && started_; }
  std::size_t payload_left() const noexcept { return head_->bytes - received_; }

  // Holds headers and small messages whole; what a large payload leaves here is copied once more.
  static constexpr std::size_t kBufferBytes = 8192;

  Rank peer_;
  RingQueue<PostedReceive> receives_;
  std::optional<FrameHeader> head_;
  std::size_t received_ = 0;  ///< payload bytes of the head frame that have been taken
  bool started_ = false;      ///< the head frame is data and has found its receive
  bool held_ = false;
  bool mismatched_ = false;
  bool discard_ = false;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::array<std::byte, kBufferBytes> buffer_;
};

}  // namespace smddp
