#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "smddp/deadline.h"
#include "smddp/status.h"
#include "smddp/types.h"

#include "base/completion.h"
#include "base/poller.h"
#include "base/signature.h"

namespace smddp {

/// Where a peer can be reached: the opaque text that its `listen()` returned.
struct PeerAddress {
  Rank rank = -1;
  std::string address;
};

struct SendDesc {
  const std::byte* data = nullptr;  ///< borrowed until the token completes
  std::size_t bytes = 0;            ///< 0 is legal and still makes a message
  std::uint64_t tag = 0;
  const Envelope* envelope = nullptr;  ///< borrowed for the call
};

struct RecvDesc {
  std::byte* data = nullptr;  ///< borrowed until the token completes
  std::size_t bytes = 0;
  std::uint64_t tag = 0;
  const Envelope* envelope = nullptr;  ///< what the sender's must equal; borrowed for the call
};

/// Messages between this rank and its peers, for one communicator. Knows no collectives and no
/// dtypes.
///
/// Threads: `listen` and `connect` block and are called once, in this order, by the thread that
/// sets up the communicator. Everything else is called by one thread at a time (the baton holder)
/// and never blocks. Order: between two ranks the k-th send meets the k-th receive. Envelope, tag
/// and size must then agree; if they do not, the sink hears `mismatch` and the receive stays posted
/// for ever (the communicator is about to fail). A peer may send before this rank has posted the
/// receive. Failure: a lost connection is reported once by `peer_closed`, not by failing each step.
/// Destruction closes everything; nothing is delivered afterwards.
class Transport {
 public:
  virtual ~Transport() = default;

  virtual std::string_view name() const noexcept = 0;

  /// Opens whatever peers need to reach this rank and returns the address to publish.
  virtual Result<std::string> listen() = 0;
  /// Connects to all `peers` (both sides call it), proving knowledge of `secret` in both
  /// directions. `context` names the communicator: peers of another one are refused. kTimeout names
  /// the missing ranks.
  virtual Status connect(std::span<const PeerAddress> peers, const std::string& secret,
                         const std::string& context, Deadline deadline) = 0;
  /// Registers the descriptors whose events mean that `progress` may have something to do.
  virtual Status watch(Poller& poller) = 0;
  virtual void unwatch(Poller& poller) noexcept = 0;
  /// The next such event is to end the poller's sleep; until then none does.
  virtual void arm(Poller& poller) noexcept = 0;
  /// Readable when `progress` may have something to do; -1 where no descriptor alone tells.
  virtual int descriptor() const noexcept { return -1; }
  /// Whether `sleep` does; else whoever waits looks again by himself.
  virtual bool can_sleep() const noexcept { return false; }
  /// Sleeps until `progress` may have something to do, or for `longest`. False when that passed.
  virtual bool sleep(std::chrono::milliseconds longest) noexcept {
    static_cast<void>(longest);
    return false;
  }

  virtual Status post_send(Rank peer, const SendDesc& send, Token token) = 0;
  virtual Status post_recv(Rank peer, const RecvDesc& recv, Token token) = 0;
  /// Sends a control message of at most kMaxNoticeBytes, copied; it may overtake nothing. Errors
  /// are ignored: a peer that cannot be told is reported by `peer_closed`.
  virtual void post_notice(Rank peer, std::span<const std::byte> bytes) = 0;
  /// Moves bytes and reports to `sink`. Returns true when anything moved.
  virtual bool progress(CompletionSink& sink) = 0;
  /// Forgets every posted step: their buffers are not touched again and their tokens never
  /// complete. A message that was partly sent is finished from a copy, so that notices posted
  /// before and after still arrive.
  virtual void abandon() = 0;
  /// True when everything posted with `post_send` and `post_notice` was handed to the operating
  /// system.
  virtual bool flushed() const noexcept = 0;
  /// The same, of what was posted for one peer.
  virtual bool flushed_to(Rank peer) const noexcept = 0;
  /// Does what peers wait for while nobody drives this rank; reports nothing. To be called about
  /// once a second, and after events that end the poller's sleep. True: they still wait, so soon.
  virtual bool serve() { return false; }
  /// True when all of it has reached the peers' hosts, as far as they can be reached: then closing
  /// loses nothing, whatever the peers still send.
  virtual bool delivered() const noexcept { return flushed(); }

  static constexpr std::size_t kMaxNoticeBytes = 2048;
};

}  // namespace smddp
