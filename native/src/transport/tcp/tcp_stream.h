#pragma once

#include <vector>

#include "smddp/status.h"

#include "transport/stream/byte_stream.h"

namespace smddp {

class SocketStream;

/// What connects this rank to one peer: a socket, or several rails.
class TcpStream : public ByteStream {
 public:
  /// Whether the next attempt may give something other than EAGAIN.
  virtual bool can_read() const = 0;
  virtual bool can_write() const = 0;
  /// Moves what the stream holds itself. `held`: nobody reads for the moment. True when anything
  /// moved.
  virtual bool advance([[maybe_unused]] bool held) { return false; }
  /// Bytes that were taken although `write` has not counted them yet; from now on they count.
  virtual std::size_t settle() { return 0; }
  /// True when the system has all that was written, or never will.
  virtual bool flushed() const { return true; }
  /// True when the peer's host has it, or never will.
  virtual bool delivered() const = 0;
  /// kPeerLost when the peer's host does not answer any more. To be called about once a second.
  virtual Status check_host() = 0;
  virtual std::vector<SocketStream*> sockets() = 0;
};

}  // namespace smddp
