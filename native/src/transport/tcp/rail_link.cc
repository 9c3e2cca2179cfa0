#include "transport/tcp/rail_link.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <utility>

namespace smddp {
namespace {

// What the system keeps of a rail's bytes before they are on their way: enough that the rail does
// not stand still while this process waits for a processor, and little of what another could take
// over.
constexpr int kUnsentBytes = 1 << 20;

iovec piece_of(const void* data, std::size_t bytes) {
  return {const_cast<void*>(data), bytes};  // the socket only reads
}

}  // namespace

RailLink::RailLink(int number, std::string name, GuardedFd socket)
    : number_(number), name_(std::move(name)), socket_(std::move(socket)) {
  ::setsockopt(socket_.descriptor(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &kUnsentBytes,
               sizeof(kUnsentBytes));
}

std::uint64_t RailLink::first_unsent(std::uint64_t otherwise) const noexcept {
  if (!is_live() || !is_sending() || header_.bytes == 0) return otherwise;
  return header_.offset + (sent_ > sizeof(header_) ? sent_ - sizeof(header_) : 0);
}

void RailLink::start(const ChunkHeader& header) noexcept {
  header_ = header;
  sent_ = 0;
}

bool RailLink::send(const UnreadBytes& bytes) {
  while (is_sending()) {
    std::array<iovec, 3> pieces;
    std::size_t count = 0;
    std::size_t done = 0;
    if (sent_ < sizeof(header_)) {
      const auto* header = reinterpret_cast<const std::byte*>(&header_);
      pieces[count++] = piece_of(header + sent_, sizeof(header_) - sent_);
    } else {
      done = sent_ - sizeof(header_);
    }
    while (done < header_.bytes && count < pieces.size()) {
      const auto part = bytes.at(header_.offset + done, header_.bytes - done);
      pieces[count++] = piece_of(part.data(), part.size());
      done += part.size();
    }
    const ssize_t sent = socket_.write(std::span{pieces.data(), count});
    if (sent < 0 && errno != EINTR) return false;
    if (sent <= 0) continue;
    sent_ += static_cast<std::size_t>(sent);
    written_ += static_cast<std::size_t>(sent);
  }
  return true;
}

ssize_t RailLink::receive(Arrivals& arrivals) {
  // What is left is less than a header.
  std::memmove(staging_.data(), staging_.data() + begin_, staged());
  end_ -= begin_;
  begin_ = 0;
  std::array<iovec, 2> pieces;
  std::size_t count = 0;
  Arrivals::Place place;
  if (missing() > 0) place = arrivals.place(next_, missing());
  if (place.to == nullptr) {
    place.bytes = 0;
  } else {
    pieces[count++] = {place.to, place.bytes};
  }
  pieces[count++] = {staging_.data() + end_, staging_.size() - end_};
  const ssize_t got = socket_.read(std::span{pieces.data(), count}, missing());
  if (got <= 0) return got;
  const auto bytes = static_cast<std::size_t>(got);
  place.bytes = std::min(bytes, place.bytes);
  end_ += bytes - place.bytes;
  if (place.bytes > 0) arrivals.note(next_, place);
  next_ += place.bytes;
  return got;
}

bool RailLink::unpack(Arrivals& arrivals) {
  while (missing() > 0 && staged() > 0) {
    const Arrivals::Place place = arrivals.place(next_, std::min(missing(), staged()));
    if (place.to != nullptr) std::memcpy(place.to, staging_.data() + begin_, place.bytes);
    arrivals.note(next_, place);
    next_ += place.bytes;
    begin_ += place.bytes;
  }
  return missing() == 0 && staged() >= sizeof(ChunkHeader);
}

ChunkHeader RailLink::take_header() {
  ChunkHeader header;
  std::memcpy(&header, staging_.data() + begin_, sizeof(header));
  begin_ += sizeof(header);
  next_ = header.offset;
  chunk_end_ = header.offset + header.bytes;
  return header;
}

void RailLink::lose(const End& end) {
  state_ = State::kLost;
  how_ = end;
  lost_at_ = Clock::now();
  sent_ = sizeof(header_) + header_.bytes;
  socket_.on_event(true);
}

void RailLink::close() noexcept {
  state_ = State::kClosed;
  socket_.abort();
}

bool RailLink::has_been_lost_for(std::chrono::milliseconds time) const {
  return !is_live() && Clock::now() - lost_at_ >= time;
}

}  // namespace smddp
