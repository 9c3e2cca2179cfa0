#include "transport/tcp/unread_bytes.h"

#include <algorithm>
#include <cstring>

namespace smddp {

UnreadBytes::Chunk UnreadBytes::append(std::span<const iovec> pieces, std::size_t skipped,
                                       std::size_t bytes, int rail) {
  const Chunk chunk{.offset = end_, .bytes = bytes, .rail = rail};
  ring_.reserve(begin_, chunk.end());
  for (const iovec& piece : pieces) {
    if (skipped >= piece.iov_len) {
      skipped -= piece.iov_len;
      continue;
    }
    const auto* from = static_cast<const std::byte*>(piece.iov_base) + skipped;
    std::size_t left = std::min(piece.iov_len - skipped, chunk.end() - end_);
    skipped = 0;
    while (left > 0) {
      const auto to = ring_.at(end_, left);
      std::memcpy(to.data(), from, to.size());
      from += to.size();
      left -= to.size();
      end_ += to.size();
    }
  }
  chunks_.push(chunk);
  return chunk;
}

void UnreadBytes::forget(std::uint64_t offset) {
  begin_ = std::max(begin_, std::min(offset, end_));
  while (!chunks_.empty() && chunks_.front().end() <= begin_) {
    if (chunks_.pop().rail == kNoRail) --orphans_;
  }
}

void UnreadBytes::orphan(int rail) {
  for (std::size_t i = 0; i < chunks_.size(); ++i) {
    if (chunks_[i].rail != rail) continue;
    chunks_[i].rail = kNoRail;
    ++orphans_;
  }
}

UnreadBytes::Chunk UnreadBytes::adopt(int rail) {
  for (std::size_t i = 0; orphans_ > 0; ++i) {
    if (chunks_[i].rail != kNoRail) continue;
    chunks_[i].rail = rail;
    --orphans_;
    return chunks_[i];
  }
  return {};
}

std::uint64_t UnreadBytes::first_orphan() const noexcept {
  for (std::size_t i = 0; orphans_ > 0; ++i) {
    if (chunks_[i].rail == kNoRail) return chunks_[i].offset;
  }
  return end_;
}

}  // namespace smddp
