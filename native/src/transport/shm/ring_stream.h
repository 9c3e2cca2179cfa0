#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/wakeup.h"
#include "transport/stream/byte_stream.h"

namespace smddp {

/// Bytes on their way from one rank to another of its host, in a ring that both have mapped: one
/// writes, one reads. Zeroed memory is an empty ring.
class Ring {
 public:
  /// `capacity` is a multiple of 64.
  static std::size_t bytes_needed(std::size_t capacity) { return sizeof(Counters) + capacity; }

  /// `memory` is aligned to 64 bytes.
  Ring(std::byte* memory, std::size_t capacity)
      : counters_(reinterpret_cast<Counters*>(memory)),
        data_(memory + sizeof(Counters)),
        capacity_(capacity) {}

  // The writer's side.
  std::size_t room() const noexcept;
  /// At most `room()` bytes; the reader sees them after `publish`.
  void put(const std::byte* from, std::size_t bytes) noexcept;
  void publish() noexcept { counters_->written.store(written_, std::memory_order_seq_cst); }

  // The reader's side.
  std::size_t available() const noexcept;
  /// At most `available()` bytes; the writer may overwrite them after `release`.
  void take(std::byte* to, std::size_t bytes) noexcept;
  void release() noexcept { counters_->taken.store(taken_, std::memory_order_seq_cst); }

 private:
  /// Of all bytes ever. Each is written by one side only, and has a cache line of its own.
  struct Counters {
    alignas(64) std::atomic<std::uint64_t> written;
    alignas(64) std::atomic<std::uint64_t> taken;
  };

  Counters* counters_;
  std::byte* data_;
  std::size_t capacity_;
  std::uint64_t written_ = 0;  ///< the writer's own count
  std::uint64_t taken_ = 0;    ///< the reader's own count
};

/// Both directions between this rank and one peer of its host.
class RingStream final : public ByteStream {
 public:
  /// `peer` is the local rank to ring for.
  RingStream(Ring out, Ring in, PeerBell& bell, int peer)
      : out_(out), in_(in), bell_(bell), peer_(peer) {}

  ssize_t write(std::span<const iovec> pieces) override;
  ssize_t read(std::span<const iovec> pieces, std::size_t lasting) override;
  bool can_read() const noexcept { return in_.available() > 0; }

 private:
  Ring out_;
  Ring in_;
  PeerBell& bell_;
  int peer_;
};

}  // namespace smddp
