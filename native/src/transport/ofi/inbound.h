#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/completion.h"
#include "transport/ofi/link.h"
#include "transport/ofi/message.h"
#include "transport/posted_receive.h"
#include "transport/ring_queue.h"

namespace smddp {

/// Messages and notices from one peer. Messages arrive in any order, and are matched and reported
/// in the order in which they were sent. A message that comes before its receive stays in its
/// buffer.
class Inbound {
 public:
  explicit Inbound(Link& link) : link_(link) {}
  /// Before the first message: how many may be in buffers at once.
  void open(std::uint32_t window) { window_.resize(window); }

  void post(const RecvDesc& recv, Token token) { posted_.push({recv, token}); }
  /// A notice that comes after the `after` first messages.
  void hold_notice(std::uint64_t after, std::span<const std::byte> bytes);
  /// An eager message or an announce in a buffer, which is kept when the answer is true.
  bool keep(std::uint32_t buffer, const MessageHeader& header);
  /// A chunk of the long message `sequence` lies in its receive's buffer.
  void on_chunk(std::uint64_t sequence);

  /// Matches what has arrived and answers announces; true when anything moved.
  bool pump();
  bool report(CompletionSink& sink);

  /// True when `report` has a message, or will have one when its receive is posted.
  bool has_whole_message() const noexcept;
  /// How many of the first messages have arrived in whole.
  std::uint64_t arrived() const noexcept;

  /// Nothing more comes: notices wait only for what has arrived.
  void end() noexcept { ended_ = true; }
  /// Forgets the receives and what has arrived; notices are reported whatever they come after.
  void abandon();

 private:
  struct Arrived {
    std::uint32_t buffer = 0;
    bool present = false;
    bool is_long = false;
  };
  struct Matched {
    PostedReceive receive;
    std::uint64_t sequence = 0;
    std::optional<std::uint32_t> slot;  ///< of a long message
    Leases leases;
    std::size_t chunk_bytes = 0;
    std::size_t posted = 0;       ///< chunks that have a tagged receive
    std::size_t chunks_left = 0;  ///< to arrive
    bool done = false;
  };
  struct HeldNotice {
    std::uint64_t after = 0;
    std::vector<std::byte> bytes;
  };

  Arrived& arrived_at(std::uint64_t sequence) { return window_[sequence % window_.size()]; }
  const Arrived* find_arrived(std::uint64_t sequence) const noexcept;
  bool match_next();
  bool answer_next();
  bool post_chunks(Matched& matched);
  bool send_ready(const Matched& matched);
  bool is_due(const HeldNotice& notice) const noexcept;

  Link& link_;
  RingQueue<PostedReceive> posted_;
  std::vector<Arrived> window_;         ///< by sequence modulo its size
  std::uint64_t next_ = 0;              ///< the message that is matched next
  RingQueue<Matched> matched_;          ///< matched and not reported, in order
  RingQueue<std::uint64_t> to_answer_;  ///< long ones among them
  std::uint64_t reported_ = 0;
  RingQueue<HeldNotice> notices_;
  std::optional<Envelope> mismatch_;  ///< to be reported
  bool mismatched_ = false;
  bool ended_ = false;
  bool abandoned_ = false;
};

}  // namespace smddp
