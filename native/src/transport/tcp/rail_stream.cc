#include "transport/tcp/rail_stream.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/host_id.h"
#include "base/log.h"
#include "transport/tcp/liveness.h"

namespace smddp {
namespace {

using std::chrono::milliseconds;

// The receiver tells no later than after so many bytes that it has read them.
constexpr std::size_t kTellAfter = std::size_t{512} << 10;
// How long a rail may be silent while another one is not.
constexpr milliseconds kRailPatience{2000};
// The rails of a peer that dies are lost one after the other, but at once.
constexpr milliseconds kJudgeAfter{1000};

std::size_t size_of(std::span<const iovec> pieces) {
  std::size_t bytes = 0;
  for (const iovec& piece : pieces) bytes += piece.iov_len;
  return bytes;
}

ssize_t failed(int error) {
  errno = error;
  return -1;
}

}  // namespace

RailStream::RailStream(std::vector<GuardedFd> sockets, Options options)
    : options_(std::move(options)) {
  for (std::size_t number = 0; number < sockets.size(); ++number) {
    if (!sockets[number].valid()) continue;
    rails_.push_back(std::make_unique<RailLink>(static_cast<int>(number), options_.names[number],
                                                std::move(sockets[number])));
  }
  open_rails_ = rails_.size();
}

ssize_t RailStream::write(std::span<const iovec> pieces) {
  if (has_ended()) return failed(error_ == 0 ? EPIPE : error_);
  // What was taken but not counted is offered again.
  std::size_t taken = unread_.end() - counted_;
  const std::size_t offered = size_of(pieces);
  const bool is_short = offered <= options_.stripe_bytes;
  while (taken < offered && unread_.room() > 0) {
    RailLink* const rail = is_short ? first_free() : choose(offered - taken);
    if (rail == nullptr) break;
    const std::size_t bytes = std::min({options_.stripe_bytes, offered - taken, unread_.room()});
    start(*rail, unread_.append(pieces, taken, bytes, rail->number()));
    taken += bytes;
  }
  const std::uint64_t written = std::max(counted_, handed_over()) - counted_;
  counted_ += written;
  if (written == 0 && offered > 0) return failed(EAGAIN);
  return static_cast<ssize_t>(written);
}

ssize_t RailStream::read(std::span<const iovec> pieces, std::size_t lasting) {
  arrivals_.open(pieces, lasting);
  for (bool came = true; came && arrivals_.filled() == 0;) {
    came = false;
    for (auto& rail : rails_) came |= rail->can_read() && receive(*rail);
  }
  const std::size_t filled = arrivals_.filled();
  arrivals_.close();
  if (arrivals_.taken() - told_taken_ >= kTellAfter) news_ = true;
  if (news_) send_waiting();
  if (filled > 0) return static_cast<ssize_t>(filled);
  if (!has_ended()) return failed(EAGAIN);
  return error_ == 0 ? 0 : failed(error_);
}

bool RailStream::can_read() const {
  const auto readable = [](const auto& rail) { return rail->can_read(); };
  return has_ended() || arrivals_.has_next() || std::any_of(rails_.begin(), rails_.end(), readable);
}

bool RailStream::can_write() const {
  const auto free = [](const auto& rail) { return rail->is_free(); };
  return has_ended() || handed_over() > counted_ ||
         (unread_.room() > 0 && std::any_of(rails_.begin(), rails_.end(), free));
}

bool RailStream::advance(bool held) {
  bool moved = send_waiting();
  // What nobody wants yet must not hide what the peer tells.
  for (auto& rail : rails_) moved |= held && rail->can_read() && receive(*rail);
  return moved;
}

std::size_t RailStream::settle() {
  const std::uint64_t bytes = unread_.end() - counted_;
  counted_ = unread_.end();
  return bytes;
}

bool RailStream::flushed() const {
  const auto sending = [](const auto& rail) { return rail->is_live() && rail->is_sending(); };
  return has_ended() ||
         (!unread_.has_orphans() && std::none_of(rails_.begin(), rails_.end(), sending));
}

bool RailStream::delivered() const {
  const auto got = [](const auto& rail) {
    return !rail->is_live() || rail->socket().unacknowledged() == 0;
  };
  return flushed() && std::all_of(rails_.begin(), rails_.end(), got);
}

Status RailStream::check_host() {
  judge_losses();
  Status answers{StatusCode::kPeerLost, "its host does not answer any more"};
  std::vector<RailLink*> silent;
  for (auto& rail : rails_) {
    if (!rail->is_live()) continue;
    if (is_host_silent(rail->socket().descriptor(), kRailPatience)) silent.push_back(rail.get());
    if (rail->socket().check_host().ok()) answers = {};
  }
  // When all are silent it is the host that is lost, or the network between; that takes longer.
  if (silent.size() == live_rails()) return live_rails() == 0 ? Status{} : answers;
  for (RailLink* const rail : silent) lose(*rail, {ETIMEDOUT, "no answer any more"});
  if (!silent.empty()) send_waiting();
  return {};
}

std::vector<SocketStream*> RailStream::sockets() {
  std::vector<SocketStream*> sockets;
  for (auto& rail : rails_) sockets.push_back(&rail->socket());
  return sockets;
}

/// The rail that takes the next of `waiting` bytes; null when none has room, or it is better to
/// wait for one that will.
RailLink* RailStream::choose(std::size_t waiting) {
  const auto now = Pace::Clock::now();
  RailLink* soonest = nullptr;
  for (auto& rail : rails_) {
    if (!rail->is_live()) continue;
    rail->observe(now);
    if (soonest == nullptr || time_on(*rail, waiting) < time_on(*soonest, waiting))
      soonest = rail.get();
  }
  if (soonest == nullptr || soonest->is_free()) return soonest;
  for (auto& rail : rails_) {
    if (rail->is_free() && is_worth_while(*rail, waiting)) return rail.get();
  }
  return nullptr;
}

RailLink* RailStream::first_free() {
  const auto free =
      std::find_if(rails_.begin(), rails_.end(), [](const auto& rail) { return rail->is_free(); });
  return free == rails_.end() ? nullptr : free->get();
}

/// Until the next chunk would be there; 0 where nothing is known about the rail.
double RailStream::time_on(const RailLink& rail, std::size_t waiting) const {
  const std::size_t chunk = std::min(waiting, options_.stripe_bytes);
  return rail.pace().is_known() ? rail.pace().seconds_for(chunk) : 0;
}

/// Whether the rail would be through with a chunk before the others are with all that waits.
bool RailStream::is_worth_while(const RailLink& rail, std::size_t waiting) const {
  auto bytes = static_cast<double>(waiting);
  double bytes_per_second = 0;
  for (const auto& other : rails_) {
    if (!other->is_live() || other.get() == &rail) continue;
    bytes += other->pace().queued();
    bytes_per_second += other->pace().bytes_per_second();
  }
  return time_on(rail, waiting) * bytes_per_second <= bytes;
}

void RailStream::start(RailLink& rail, const UnreadBytes::Chunk& chunk) {
  ChunkHeader header;
  header.bytes = static_cast<std::uint32_t>(chunk.bytes);
  header.offset = chunk.offset;
  header.taken = told_taken_ = arrivals_.taken();
  header.lost = lost_;
  news_ = false;
  rail.start(header);
  send(rail);
}

void RailStream::send(RailLink& rail) {
  if (rail.send(unread_) || errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM) return;
  lose(rail, {errno, std::strerror(errno)});
}

/// Sends what waits for room: the rest of chunks, those of lost rails, news.
bool RailStream::send_waiting() {
  bool moved = false;
  for (auto& rail : rails_) {
    if (rail->is_live() && rail->is_sending() && rail->socket().can_write()) {
      send(*rail);
      moved = true;
    }
    while (unread_.has_orphans() && rail->is_free()) {
      start(*rail, unread_.adopt(rail->number()));
      moved = true;
    }
  }
  if (!news_) return moved;
  for (auto& rail : rails_) {
    if (!rail->is_free()) continue;
    start(*rail, {});
    return true;
  }
  return moved;
}

/// Reads once; true when anything changed.
bool RailStream::receive(RailLink& rail) {
  const ssize_t got = rail.receive(arrivals_);
  if (got < 0 && errno == EINTR) return true;
  if (got < 0 && errno == EAGAIN && rail.is_live()) return false;
  if (got <= 0) {
    close(rail, {got == 0 ? 0 : errno, got == 0 ? "it was closed" : std::strerror(errno)});
    return true;
  }
  while (rail.unpack(arrivals_)) {
    if (heed(rail.take_header())) continue;
    close(rail, {EPROTO, std::strerror(EPROTO)});
    return true;
  }
  return true;
}

/// What a header tells besides what follows it; false when it cannot be one.
bool RailStream::heed(const ChunkHeader& header) {
  const std::uint64_t end = header.offset + header.bytes;
  if (header.magic != ChunkHeader::kMagic || header.bytes > kStreamWindow ||
      end > arrivals_.taken() + kStreamWindow || header.taken > unread_.end())
    return false;
  unread_.forget(header.taken);
  for (auto& rail : rails_) {
    if ((header.lost >> rail->number() & 1U) != 0) lose(*rail, {EPIPE, "the peer has given it up"});
  }
  return true;
}

void RailStream::lose(RailLink& rail, const RailLink::End& end) {
  if (!rail.is_live()) return;
  rail.lose(end);
  unread_.orphan(rail.number());
  lost_ |= 1U << rail.number();
  news_ = true;
}

void RailStream::close(RailLink& rail, const RailLink::End& end) {
  lose(rail, end);
  rail.close();
  --open_rails_;
  error_ = rail.end().error;
}

/// Up to where the system has everything.
std::uint64_t RailStream::handed_over() const {
  std::uint64_t first = unread_.first_orphan();
  for (const auto& rail : rails_) first = std::min(first, rail->first_unsent(first));
  return first;
}

std::size_t RailStream::live_rails() const {
  const auto live = [](const auto& rail) { return rail->is_live(); };
  return static_cast<std::size_t>(std::count_if(rails_.begin(), rails_.end(), live));
}

/// Tells people which rails are lost, unless it is the peer that has gone.
void RailStream::judge_losses() {
  for (auto& rail : rails_) {
    const std::uint32_t bit = 1U << rail->number();
    if ((told_ & bit) != 0 || !rail->has_been_lost_for(kJudgeAfter)) continue;
    told_ |= bit;
    if (rail->end().error == 0) {
      // Nobody closes one rail alone: the others are cut, and will bring no end.
      for (auto& other : rails_) lose(*other, rail->end());
    }
    if (live_rails() == 0) return;
    log_line(LogLevel::kWarn, host_name() + ": rail " + rail->name() + " to " + options_.peer +
                                  " is lost (" + rail->end().why + "); " +
                                  std::to_string(live_rails()) + " of " +
                                  std::to_string(rails_.size()) + " rails to it remain");
  }
}

}  // namespace smddp
