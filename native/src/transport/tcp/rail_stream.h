#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/guarded_fd.h"
#include "transport/tcp/arrivals.h"
#include "transport/tcp/rail_link.h"
#include "transport/tcp/tcp_stream.h"
#include "transport/tcp/unread_bytes.h"

namespace smddp {

/// One stream of bytes over several rails, in both directions.
///
/// The sender cuts the stream into chunks, and each rail takes the next one as soon as it has room.
/// Chunks say where in the stream they belong; the receiver puts them there, and says how far it
/// has read. Until then the sender keeps a copy. When a rail is lost, its chunks go over the
/// others, and what comes twice is dropped. The stream ends with its last rail.
class RailStream final : public TcpStream {
 public:
  static constexpr std::size_t kMostRails = 32;

  struct Options {
    std::size_t stripe_bytes;        ///< of a chunk, at most
    std::vector<std::string> names;  ///< of the rails by number, for messages: "eth1 (10.0.0.1)"
    std::string peer;                ///< for messages: "rank 3"
  };

  /// Sockets by the rails' numbers (at most kMostRails), which are the same on both sides; some may
  /// be missing.
  RailStream(std::vector<GuardedFd> sockets, Options options);

  ssize_t write(std::span<const iovec> pieces) override;
  ssize_t read(std::span<const iovec> pieces, std::size_t lasting) override;
  bool can_read() const override;
  bool can_write() const override;
  bool advance(bool held) override;
  std::size_t settle() override;
  bool flushed() const override;
  bool delivered() const override;
  Status check_host() override;
  std::vector<SocketStream*> sockets() override;

 private:
  RailLink* choose(std::size_t waiting);
  RailLink* first_free();
  double time_on(const RailLink& rail, std::size_t waiting) const;
  bool is_worth_while(const RailLink& rail, std::size_t waiting) const;
  void start(RailLink& rail, const UnreadBytes::Chunk& chunk);
  void send(RailLink& rail);
  bool send_waiting();
  bool receive(RailLink& rail);
  bool heed(const ChunkHeader& header);
  void lose(RailLink& rail, const RailLink::End& end);
  void close(RailLink& rail, const RailLink::End& end);
  std::uint64_t handed_over() const;
  std::size_t live_rails() const;
  bool has_ended() const { return open_rails_ == 0; }
  void judge_losses();

  Options options_;
  std::vector<std::unique_ptr<RailLink>> rails_;
  std::size_t open_rails_;

  UnreadBytes unread_;
  std::uint64_t counted_ = 0;  ///< what `write` has told that it has written

  Arrivals arrivals_;
  std::uint64_t told_taken_ = 0;  ///< the peer knows that this rank has read so far
  bool news_ = false;             ///< there is something to tell the peer
  std::uint32_t lost_ = 0;        ///< rails, by bit
  std::uint32_t told_ = 0;        ///< those of them that people know of
  int error_ = 0;                 ///< how the last rail ended; 0: the peer closed it
};

}  // namespace smddp
