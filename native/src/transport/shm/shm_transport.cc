#include "transport/shm/shm_transport.h"

#include <algorithm>
#include <string>

#include "transport/unusable_peer.h"

namespace smddp {
namespace {

constexpr std::size_t kLine = 64;
constexpr std::size_t kLargestRing = std::size_t{256} << 10;
constexpr std::size_t kSmallestRing = std::size_t{16} << 10;
constexpr std::size_t kAllRings = std::size_t{32} << 20;

}  // namespace

std::size_t ShmTransport::ring_capacity(int ranks) {
  const auto pairs = static_cast<std::size_t>(ranks) * static_cast<std::size_t>(ranks);
  return std::clamp(kAllRings / pairs / kLine * kLine, kSmallestRing, kLargestRing);
}

std::size_t ShmTransport::bytes_needed(int ranks) {
  const auto pairs = static_cast<std::size_t>(ranks) * static_cast<std::size_t>(ranks);
  return pairs * Ring::bytes_needed(ring_capacity(ranks));
}

ShmTransport::ShmTransport(std::span<std::byte> memory, const Members& members, PeerBell& bell)
    : labels_(members.labels) {
  const std::vector<Rank>& ranks = members.ranks;
  const int self = members.self;
  const int size = static_cast<int>(ranks.size());
  const std::size_t capacity = ring_capacity(size);
  const auto ring = [&](int from, int to) {
    const std::size_t index =
        static_cast<std::size_t>(from) * ranks.size() + static_cast<std::size_t>(to);
    return Ring{memory.data() + index * Ring::bytes_needed(capacity), capacity};
  };
  for (int peer = 0; peer < size; ++peer) {
    if (peer == self) continue;
    links_.push_back(
        std::make_unique<Link>(ranks[static_cast<std::size_t>(peer)],
                               RingStream{ring(self, peer), ring(peer, self), bell, peer}));
  }
}

ShmTransport::Link* ShmTransport::find(Rank peer) const noexcept {
  for (const auto& link : links_) {
    if (link->peer == peer) return link.get();
  }
  return nullptr;
}

Result<ShmTransport::Link*> ShmTransport::usable(Rank peer) const {
  Link* const link = find(peer);
  if (link == nullptr || abandoned_) return unusable_peer(abandoned_, labels_, peer);
  return link;
}

Status ShmTransport::post_send(Rank peer, const SendDesc& send, Token token) {
  const Result<Link*> link = usable(peer);
  if (link.ok()) link.value()->outbox.push_data(send, token);
  return link.status();
}

Status ShmTransport::post_recv(Rank peer, const RecvDesc& recv, Token token) {
  const Result<Link*> link = usable(peer);
  if (link.ok()) link.value()->inbox.post(recv, token);
  return link.status();
}

void ShmTransport::post_notice(Rank peer, std::span<const std::byte> bytes) {
  if (Link* link = find(peer); link != nullptr && bytes.size() <= kMaxNoticeBytes)
    link->outbox.push_notice(bytes);
}

bool ShmTransport::Link::progress(CompletionSink& sink) {
  bool moved = !outbox.empty() && outbox.pump(stream, sink).moved;
  if (stream.can_read() || inbox.is_held()) moved |= inbox.pump(stream, sink).moved;
  return moved;
}

bool ShmTransport::progress(CompletionSink& sink) {
  bool moved = false;
  for (const auto& link : links_) moved |= link->progress(sink);
  return moved;
}

void ShmTransport::abandon() {
  abandoned_ = true;
  for (const auto& link : links_) {
    link->inbox.abandon();
    link->outbox.abandon();
  }
}

bool ShmTransport::flushed() const noexcept {
  return std::all_of(links_.begin(), links_.end(),
                     [](const auto& link) { return link->outbox.empty(); });
}

bool ShmTransport::flushed_to(Rank peer) const noexcept {
  const Link* link = find(peer);
  return link == nullptr || link->outbox.empty();
}

}  // namespace smddp
