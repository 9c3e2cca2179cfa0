#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <span>

namespace smddp {

/// A reliable connection to one peer that carries bytes both ways and never blocks.
class ByteStream {
 public:
  virtual ~ByteStream() = default;

  /// Hands over the first bytes of `pieces` and says how many; -1 with errno when there is no room
  /// (EAGAIN) or something failed, as of sendmsg(2).
  virtual ssize_t write(std::span<const iovec> pieces) = 0;
  /// Fills `pieces` from the front; 0 when the peer has ended its side, else as `write`.
  virtual ssize_t read(std::span<const iovec> pieces) = 0;
};

}  // namespace smddp
