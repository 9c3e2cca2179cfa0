#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <span>

namespace smddp {

/// A reliable connection to one peer that carries bytes both ways and never blocks.
class ByteStream {
 public:
  virtual ~ByteStream() = default;

  /// Hands over the first bytes of `pieces` and says how many; -1 with errno when there is no room
  /// (EAGAIN) or something failed, as of sendmsg(2).
  virtual ssize_t write(std::span<const iovec> pieces) = 0;
  /// Fills `pieces` from the front; 0 when the peer has ended its side, else as `write`. The first
  /// `lasting` bytes of them stay where they are until they have been read, so that a stream may
  /// fill any of them ahead of time; a reader that gives other pieces instead does not look at them
  /// any more.
  virtual ssize_t read(std::span<const iovec> pieces, std::size_t lasting) = 0;
};

}  // namespace smddp
