#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "smddp/status.h"

#include "base/completion.h"
#include "transport/ofi/link.h"
#include "transport/ofi/message.h"
#include "transport/ring_queue.h"
#include "transport/transport.h"

namespace smddp {

/// Messages and notices to one peer, started in the order of their posts (transport/ofi/message.h
/// says how). A message completes when libfabric says that it, or all its chunks, have left: what
/// libfabric still held might stay there, because this rank may do nothing more.
class Outbound {
 public:
  /// `control` carries the notices.
  Outbound(Link& link, Transport& control) : link_(link), control_(control) {}

  void push(const SendDesc& send, Token token);
  void push_notice(std::span<const std::byte> bytes);
  /// Starts and goes on with what there is room for; true when anything moved.
  bool pump();
  /// Tells the sink of the sends that are complete.
  bool report(CompletionSink& sink);

  /// The peer has taken so many messages out of its buffers.
  void on_taken(std::uint64_t taken) noexcept;
  void on_ready(std::uint64_t sequence, const ReadyBody& ready);
  /// The short message with this token has left, or never will.
  void on_sent(Token token, bool ok);
  /// A chunk of the message with this number has left, or never will.
  void on_written(std::uint32_t number);

  /// The peer throws away what it is sent: each send counts as done once its bytes are free.
  void discard();
  /// Forgets the data; notices still go.
  void abandon();
  /// The peer is gone: nothing that is not complete ever will be.
  void close();

  /// Messages of which the peer has heard.
  std::uint64_t started() const noexcept { return started_; }
  bool empty() const noexcept;
  bool has_data() const noexcept;

 private:
  struct Queued {
    const std::byte* data = nullptr;
    std::size_t bytes = 0;
    std::uint64_t tag = 0;
    Envelope envelope{};
    std::optional<Token> token;  ///< none: a notice
    std::vector<std::byte> notice;
  };
  struct LongSend {
    const std::byte* data = nullptr;
    std::size_t bytes = 0;
    Token token = 0;
    std::uint64_t sequence = 0;
    std::optional<ReadyBody> ready;
    Leases leases;
    std::size_t posted = 0;
    std::uint32_t in_flight = 0;
    bool done = false;
  };
  enum class State : unsigned char { kOpen, kDiscarding, kClosed };

  bool start(const Queued& message);
  bool start_short(const Queued& message);
  bool start_long(const Queued& message);
  bool write_chunks(LongSend& send);
  bool write_chunk(LongSend& send);
  LongSend* find(std::uint32_t number);
  void finish(LongSend& send);
  void retire();

  Link& link_;
  Transport& control_;
  RingQueue<Queued> queue_;
  RingQueue<LongSend> long_;  ///< started, in order
  RingQueue<Token> sent_;
  std::uint64_t started_ = 0;
  std::size_t short_in_flight_ = 0;
  std::uint64_t taken_ = 0;
  std::uint64_t unanswered_ = 0;  ///< announced and not yet ready: as many answers may come at once
  State state_ = State::kOpen;
};

}  // namespace smddp
