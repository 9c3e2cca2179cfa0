#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "smddp/status.h"
#include "smddp/types.h"

#include "base/signature.h"

namespace smddp {

/// Index of a posted step in its execution; given back exactly once.
using Token = std::uint32_t;

/// Receives what transports and providers report from inside `progress()`; never called from a
/// post.
class CompletionSink {
 public:
  virtual ~CompletionSink() = default;

  /// The step is over: its bytes are free again. Called exactly once for each post that returned
  /// ok.
  virtual void complete(Token token, Status status) = 0;
  /// A peer runs another operation than this rank; `theirs` is its envelope. The step stays posted.
  virtual void mismatch(Rank peer, const Envelope& theirs) = 0;
  /// A control message that a peer sent with `post_notice`.
  virtual void notice(Rank peer, std::span<const std::byte> bytes) = 0;
  /// The connection to the peer is gone. Steps that need it stay posted; reported once per peer.
  virtual void peer_closed(Rank peer, const Status& why) = 0;
};

}  // namespace smddp
