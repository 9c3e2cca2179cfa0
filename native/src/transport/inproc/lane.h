#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <span>
#include <variant>
#include <vector>

#include "base/completion.h"
#include "base/signature.h"
#include "transport/posted_receive.h"
#include "transport/transport.h"

namespace smddp {

/// Messages from one rank to one other, as threads of one process. The sender's bytes are borrowed
/// until the receiver has copied them straight into its own buffer; nothing is staged. Thread-safe.
class Lane {
 public:
  // What `take` found at the head.
  struct Nothing {};
  struct Moved {};  ///< a part of a long message was copied; take again
  struct Received {
    Token token;
  };
  struct Discarded {};
  struct Mismatch {
    Envelope theirs;
  };
  struct Notice {
    std::vector<std::byte> bytes;
  };
  struct Closed {};
  using Event = std::variant<Nothing, Moved, Received, Discarded, Mismatch, Notice, Closed>;

  // The sender's side.
  void send(const SendDesc& send, Token token);
  void send_notice(std::span<const std::byte> bytes);
  /// Appends the tokens of the sends whose bytes are free again.
  void collect_sent(std::vector<Token>& tokens);
  /// The sends that are not yet copied never happen; notices stay.
  void forget_sends();
  /// After the notices that are left the receiver finds `Closed`.
  void close();
  bool has_sends() const;

  // The receiver's side.
  /// Handles the head message: data goes to `posted`, or nowhere when `discard`. Copies a bounded
  /// piece.
  Event take(const PostedReceive* posted, bool discard);

 private:
  struct Message {
    const std::byte* data = nullptr;
    std::size_t bytes = 0;
    std::size_t copied = 0;
    std::uint64_t tag = 0;
    Envelope envelope{};
    Token token = 0;
    bool is_notice = false;
    std::vector<std::byte> notice;
  };

  Event take_notice();
  Event copy_to(const PostedReceive& posted);
  void finish_head();
  void drop_sends();

  mutable std::mutex mutex_;
  std::deque<Message> messages_;
  std::vector<Token> sent_;
  bool closed_ = false;
};

}  // namespace smddp
