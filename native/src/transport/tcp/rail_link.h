#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/guarded_fd.h"
#include "transport/tcp/arrivals.h"
#include "transport/tcp/chunk.h"
#include "transport/tcp/pace.h"
#include "transport/tcp/socket_stream.h"
#include "transport/tcp/unread_bytes.h"

namespace smddp {

/// One of several connections to a peer: a chunk that is being sent, and one that is being
/// received.
class RailLink {
 public:
  enum class State : unsigned char {
    kLive,
    kLost,  ///< takes no more chunks; what has arrived is still to be read
    kClosed
  };

  /// How it ended.
  struct End {
    int error = 0;  ///< errno; 0: the peer closed it
    std::string why;
  };

  /// `name` is for messages: "eth1 (10.0.0.1)".
  RailLink(int number, std::string name, GuardedFd socket);

  int number() const noexcept { return number_; }
  SocketStream& socket() noexcept { return socket_; }
  const SocketStream& socket() const noexcept { return socket_; }
  State state() const noexcept { return state_; }
  bool is_live() const noexcept { return state_ == State::kLive; }
  bool can_read() const noexcept { return state_ != State::kClosed && socket_.can_read(); }
  /// Whether it can take a chunk.
  bool is_free() const noexcept { return is_live() && !is_sending() && socket_.can_write(); }
  bool is_sending() const noexcept { return sent_ < sizeof(header_) + header_.bytes; }
  /// Where the part of its chunk begins that the system has not got; `otherwise` if it has all.
  std::uint64_t first_unsent(std::uint64_t otherwise) const noexcept;

  void start(const ChunkHeader& header) noexcept;
  /// Writes on. False when there is no room, or no rail any more: then errno says why.
  bool send(const UnreadBytes& bytes);

  /// Looks how much is under way.
  void observe(Pace::Clock::time_point now) {
    pace_.observe(written_, socket_.unacknowledged(), now);
  }
  const Pace& pace() const noexcept { return pace_; }

  /// Reads once, and puts what comes where it belongs. -1 and 0 as of recvmsg(2).
  ssize_t receive(Arrivals& arrivals);
  /// Puts what was read with the chunk's header where it belongs. True when a header is next.
  bool unpack(Arrivals& arrivals);
  /// The header that is next.
  ChunkHeader take_header();

  void lose(const End& end);
  void close() noexcept;
  const End& end() const noexcept { return how_; }
  bool has_been_lost_for(std::chrono::milliseconds time) const;
  const std::string& name() const noexcept { return name_; }

 private:
  using Clock = std::chrono::steady_clock;

  std::size_t staged() const noexcept { return end_ - begin_; }
  std::size_t missing() const noexcept { return chunk_end_ - next_; }

  static constexpr std::size_t kStagingBytes = 4096;

  int number_;
  std::string name_;
  SocketStream socket_;
  State state_ = State::kLive;
  End how_;
  Clock::time_point lost_at_{};

  ChunkHeader header_{};
  std::size_t sent_ = sizeof(ChunkHeader);  ///< of header and chunk together

  std::uint64_t written_ = 0;  ///< bytes, ever
  Pace pace_;

  std::uint64_t next_ = 0;  ///< offset of the next byte that comes, up to `chunk_end_`
  std::uint64_t chunk_end_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::array<std::byte, kStagingBytes> staging_;
};

}  // namespace smddp
