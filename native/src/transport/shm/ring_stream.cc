#include "transport/shm/ring_stream.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace smddp {
namespace {

// The other side starts with the first portion while the next one is copied.
constexpr std::size_t kPortion = std::size_t{16} << 10;
// More would keep others waiting: with both sides at work a ring is neither full nor empty.
constexpr std::size_t kAtOnce = std::size_t{256} << 10;

}  // namespace

std::size_t Ring::room() const noexcept {
  return capacity_ - (written_ - counters_->taken.load(std::memory_order_seq_cst));
}

void Ring::put(const std::byte* from, std::size_t bytes) noexcept {
  const std::size_t at = written_ % capacity_;
  const std::size_t first = std::min(bytes, capacity_ - at);
  std::memcpy(data_ + at, from, first);
  std::memcpy(data_, from + first, bytes - first);
  written_ += bytes;
}

std::size_t Ring::available() const noexcept {
  return counters_->written.load(std::memory_order_seq_cst) - taken_;
}

void Ring::take(std::byte* to, std::size_t bytes) noexcept {
  const std::size_t at = taken_ % capacity_;
  const std::size_t first = std::min(bytes, capacity_ - at);
  std::memcpy(to, data_ + at, first);
  std::memcpy(to + first, data_, bytes - first);
  taken_ += bytes;
}

ssize_t RingStream::write(std::span<const iovec> pieces) {
  std::size_t total = 0;
  std::size_t unpublished = 0;
  const auto publish = [&] {
    out_.publish();
    bell_.ring_one(peer_);
    unpublished = 0;
  };
  bool full = false;  // the peer may make room at any moment, but nothing may be left out
  for (const iovec& piece : pieces) {
    const auto* from = static_cast<const std::byte*>(piece.iov_base);
    for (std::size_t done = 0; done < piece.iov_len && !full;) {
      const std::size_t part =
          std::min({piece.iov_len - done, out_.room(), kPortion - unpublished, kAtOnce - total});
      out_.put(from + done, part);
      done += part;
      total += part;
      unpublished += part;
      if (unpublished == kPortion) publish();
      full = part == 0;
    }
  }
  if (unpublished > 0) publish();
  if (total > 0) return static_cast<ssize_t>(total);
  errno = EAGAIN;
  return -1;
}

ssize_t RingStream::read(std::span<const iovec> pieces, std::size_t /*lasting*/) {
  std::size_t total = 0;
  bool empty = false;  // more may arrive at any moment, but belongs behind what is missing
  for (const iovec& piece : pieces) {
    auto* to = static_cast<std::byte*>(piece.iov_base);
    for (std::size_t done = 0; done < piece.iov_len && !empty;) {
      const std::size_t part =
          std::min({piece.iov_len - done, in_.available(), kPortion, kAtOnce - total});
      in_.take(to + done, part);
      in_.release();
      done += part;
      total += part;
      empty = part == 0;
    }
  }
  if (total > 0) {
    bell_.ring_one(peer_);  // it may wait for room
    return static_cast<ssize_t>(total);
  }
  errno = EAGAIN;
  return -1;
}

}  // namespace smddp
