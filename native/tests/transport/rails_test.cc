#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "base/socket.h"
#include "transport/harness.h"
#include "transport/tcp/arrivals.h"
#include "transport/tcp/connection.h"
#include "transport/tcp/pace.h"
#include "transport/tcp/rail_stream.h"
#include "transport/tcp/unread_bytes.h"

namespace smddp::test {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::size_t kStripe = 4096;
constexpr std::size_t kMiB = std::size_t{1} << 20;

/// One side of a connection over rails.
struct Side {
  Connection connection;
  std::vector<SocketStream*> rails;
  RecordingSink sink;

  Side(Rank peer, std::unique_ptr<TcpStream> stream)
      : connection(peer, std::move(stream)), rails(connection.stream().sockets()) {}

  bool progress() {
    // There is no epoll here: each socket may have something at any time.
    for (SocketStream* rail : rails) rail->on_event(true);
    sink.in_progress = true;
    const bool moved = connection.progress(sink);
    sink.in_progress = false;
    return moved;
  }
  void check_host() {
    sink.in_progress = true;
    connection.check_host(sink);
    sink.in_progress = false;
  }
  void send(Bytes& data, unsigned op, Token token) {
    const Envelope mine = envelope(op);
    connection.send({data.data(), data.size(), op, &mine}, token);
  }
  void receive(Bytes& data, unsigned op, Token token) {
    const Envelope mine = envelope(op);
    connection.receive({data.data(), data.size(), op, &mine}, token);
  }
};

/// Ranks 0 and 1 over `rails` connections through loopback.
struct Pair {
  std::unique_ptr<Side> zero;
  std::unique_ptr<Side> one;

  explicit Pair(int rails, std::size_t stripe = kStripe) {
    std::vector<GuardedFd> ends[2];
    RailStream::Options options{.stripe_bytes = stripe, .names = {}, .peer = "rank 1"};
    for (int rail = 0; rail < rails; ++rail) {
      const UniqueFd listener = listen_tcp("127.0.0.1", 0).value();
      const std::uint16_t port = local_port(listener.get()).value();
      ends[0].emplace_back(connect_tcp("127.0.0.1", port, soon()).value());
      ends[1].emplace_back(accept_connection(listener.get(), soon()).value());
      options.names.push_back("lo");
    }
    zero = std::make_unique<Side>(1, std::make_unique<RailStream>(std::move(ends[0]), options));
    one = std::make_unique<Side>(0, std::make_unique<RailStream>(std::move(ends[1]), options));
  }

  bool drive(const std::function<bool()>& done) {
    const Deadline deadline = soon();
    while (!done()) {
      if (deadline.passed()) return false;
      zero->progress();
      one->progress();
    }
    return true;
  }
  void check_sound() {
    for (const Side* side : {zero.get(), one.get()}) {
      CHECK(side->sink.faults == std::vector<std::string>{});
      CHECK(side->sink.closed.empty());
      CHECK(side->sink.mismatches.empty());
    }
  }
};

void cut(const SocketStream* rail) { ::shutdown(rail->descriptor(), SHUT_RDWR); }

/// With everything that has arrived at this end and has not been read yet.
void cut_and_drop(const SocketStream* rail) {
  cut(rail);
  Bytes dropped(64 * 1024);
  while (::recv(rail->descriptor(), dropped.data(), dropped.size(), MSG_DONTWAIT) > 0) {
  }
}

std::uint64_t bytes_received(const SocketStream* rail) {
  tcp_info info{};
  socklen_t length = sizeof(info);
  REQUIRE(::getsockopt(rail->descriptor(), IPPROTO_TCP, TCP_INFO, &info, &length) == 0);
  return info.tcpi_bytes_received;
}

/// Reads all of `whole` through small windows while its bytes arrive in `order`, in pieces of any
/// size.
void check_arrivals(const Bytes& whole,
                    const std::vector<std::pair<std::size_t, std::size_t>>& order,
                    std::mt19937& random) {
  Arrivals arrivals;
  Bytes got(whole.size());
  std::size_t read = 0;
  // Messages that the reader takes whole, with up to so many lasting bytes, and what follows.
  std::size_t lasting_end = 0;
  Bytes buffer(64);
  for (auto [offset, bytes] : order) {
    if (read == lasting_end) lasting_end = std::min(whole.size(), read + random() % 3000);
    const std::size_t lasting = lasting_end - read;
    const iovec pieces[] = {{got.data() + read, lasting}, {buffer.data(), buffer.size()}};
    arrivals.open(lasting > 0 ? std::span(pieces) : std::span(pieces).subspan(1), lasting);
    while (bytes > 0) {
      Arrivals::Place place = arrivals.place(offset, 1 + random() % bytes);
      if (place.to != nullptr) {
        if (place.bytes > 1) place.bytes -= random() % place.bytes;
        std::memcpy(place.to, whole.data() + offset, place.bytes);
      }
      arrivals.note(offset, place);
      offset += place.bytes;
      bytes -= place.bytes;
    }
    const std::size_t filled = arrivals.filled();
    if (filled > lasting) std::memcpy(got.data() + read + lasting, buffer.data(), filled - lasting);
    read += filled;
    lasting_end = std::max(lasting_end, read);
    arrivals.close();
  }
  for (std::size_t filled = 1; filled > 0; read += filled) {
    const iovec rest{got.data() + read, got.size() - read};
    arrivals.open({&rest, 1}, 0);
    filled = arrivals.filled();
    arrivals.close();
  }
  CHECK(read == whole.size());
  CHECK(got == whole);
}

TEST_CASE("rails: bytes that arrive in any order, and twice, are put together") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 50; ++round) {
    const Bytes whole = pattern(static_cast<unsigned>(round), 20'000 + random() % 20'000);
    std::vector<std::pair<std::size_t, std::size_t>> order;
    for (std::size_t offset = 0; offset < whole.size();) {
      const std::size_t bytes = std::min<std::size_t>(1 + random() % 2000, whole.size() - offset);
      order.emplace_back(offset, bytes);
      // Sometimes all of a chunk comes twice, sometimes only its beginning came the first time.
      if (random() % 4 == 0) order.emplace_back(offset, 1 + random() % bytes);
      offset += bytes;
    }
    // As several rails deliver them: each in order, none far behind.
    for (std::size_t i = 0; i + 8 < order.size(); i += 8)
      std::shuffle(order.begin() + static_cast<std::ptrdiff_t>(i),
                   order.begin() + static_cast<std::ptrdiff_t>(i + 8), random);
    check_arrivals(whole, order, random);
  }
}

TEST_CASE(
    "rails: what the peer has not read is kept, and the chunks of a lost rail are given away") {
  UnreadBytes unread;
  const Bytes data = pattern(3, 100'000);
  const iovec pieces[] = {{const_cast<std::byte*>(data.data()), 30'000},
                          {const_cast<std::byte*>(data.data()) + 30'000, 70'000}};
  for (std::size_t offset = 0; offset < data.size(); offset += 10'000)
    unread.append(pieces, offset, 10'000, static_cast<int>(offset / 10'000 % 2));
  unread.forget(25'000);
  CHECK(unread.begin() == 25'000);
  CHECK(unread.first_orphan() == unread.end());
  unread.orphan(0);
  CHECK(unread.first_orphan() == 20'000);  // read in part, so sent again whole
  for (const std::uint64_t offset : {20'000U, 40'000U, 60'000U, 80'000U}) {
    const UnreadBytes::Chunk chunk = unread.adopt(1);
    CHECK(chunk.offset == offset);
    CHECK(chunk.bytes == 10'000);
    if (offset < 25'000) continue;
    const auto kept = unread.at(offset, 10'000);
    CHECK(std::equal(kept.begin(), kept.end(), data.begin() + static_cast<std::ptrdiff_t>(offset)));
  }
  CHECK_FALSE(unread.has_orphans());
  CHECK(unread.adopt(1).bytes == 0);
  unread.orphan(1);
  unread.forget(data.size());
  CHECK_FALSE(unread.has_orphans());
}

TEST_CASE("rails: a rail's pace is that of busy times, and is forgotten") {
  using std::chrono::milliseconds;
  Pace pace;
  Pace::Clock::time_point now{std::chrono::hours{1}};
  pace.observe(0, 0, now);
  CHECK_FALSE(pace.is_known());
  pace.observe(2 * kMiB, kMiB, now += milliseconds{10});  // a MiB in 10 ms
  const double rate = 100.0 * kMiB;
  CHECK(pace.bytes_per_second() == doctest::Approx(rate));
  CHECK(pace.seconds_for(kMiB) == doctest::Approx(0.02));
  pace.observe(2 * kMiB, 0, now += milliseconds{10});
  pace.observe(2 * kMiB, 0, now += milliseconds{1000});  // idle
  pace.observe(3 * kMiB, 0, now += milliseconds{10});
  CHECK(pace.bytes_per_second() == doctest::Approx(rate));
  pace.observe(4 * kMiB, kMiB / 2, now += milliseconds{10});
  CHECK(pace.bytes_per_second() == doctest::Approx(rate * 7 / 8));  // half the rate, weighed 1/4
  pace.observe(4 * kMiB, 0, now += std::chrono::seconds{11});
  CHECK_FALSE(pace.is_known());
}

TEST_CASE("rails: a long message is spread over all rails, short ones take one") {
  Pair pair(3);
  Bytes data = pattern(1, 8 * kMiB);
  Bytes got(data.size());
  pair.one->receive(got, 1, 1);
  pair.zero->send(data, 1, 1);
  REQUIRE(
      pair.drive([&] { return pair.one->sink.is_complete(1) && pair.zero->sink.is_complete(1); }));
  CHECK(got == data);
  std::vector<std::uint64_t> before;
  for (const SocketStream* rail : pair.one->rails) before.push_back(bytes_received(rail));
  for (const std::uint64_t bytes : before) CHECK(bytes > 64 * 1024);

  Bytes less = pattern(2, 1000);
  Bytes got_less(less.size());
  for (unsigned op = 2; op < 100; ++op) {
    pair.one->receive(got_less, op, op);
    pair.zero->send(less, op, op);
    REQUIRE(pair.drive(
        [&] { return pair.one->sink.is_complete(op) && pair.zero->sink.is_complete(op); }));
    CHECK(got_less == less);
  }
  CHECK(bytes_received(pair.one->rails[0]) > before[0] + 98 * less.size());
  CHECK(bytes_received(pair.one->rails[1]) == before[1]);
  CHECK(bytes_received(pair.one->rails[2]) == before[2]);
  pair.check_sound();
}

TEST_CASE("rails: a rail that is lost in the middle of messages costs nothing but its rate") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 40; ++round) {
    CAPTURE(round);
    Pair pair(3, random() % 2 == 0 ? kStripe : 128 * 1024);
    constexpr unsigned kMessages = 6;
    std::vector<Bytes> data;
    std::vector<Bytes> got;
    // Both ways at once; of each message the sender's operation is its token.
    for (unsigned i = 0; i < 2 * kMessages; ++i) {
      data.push_back(pattern(i, random() % (i % 3 == 0 ? 100 : 2 * kMiB)));
      got.emplace_back(data.back().size());
    }
    for (unsigned i = 0; i < kMessages; ++i) {
      pair.zero->send(data[i], i, i);
      pair.one->send(data[kMessages + i], i, i);
      pair.one->receive(got[i], i, 100 + i);
      pair.zero->receive(got[kMessages + i], i, 100 + i);
    }
    int cuts = 0;
    REQUIRE(pair.drive([&] {
      const std::size_t done = pair.zero->sink.completed.size() + pair.one->sink.completed.size();
      if (cuts < 2 && random() % 8 == 0) {
        Side& side = *(random() % 2 == 0 ? pair.zero : pair.one);
        cut_and_drop(side.rails[static_cast<std::size_t>(cuts)]);
        ++cuts;
      }
      return done == 4 * kMessages;
    }));
    CHECK(got == data);
    pair.check_sound();
    REQUIRE(pair.drive(
        [&] { return pair.zero->connection.delivered() && pair.one->connection.delivered(); }));
  }
}

TEST_CASE("rails: what a lost rail had in hand is sent again even when its send is complete") {
  Pair pair(2, 64 * 1024);
  Bytes data = pattern(1, 60'000);
  Bytes got(data.size());
  pair.zero->send(data, 1, 1);
  while (pair.zero->progress()) {
  }
  REQUIRE(pair.zero->sink.is_complete(1));
  data.assign(data.size(), std::byte{0});  // it is the caller's again
  cut_and_drop(pair.one->rails[0]);
  pair.one->receive(got, 1, 1);
  REQUIRE(pair.drive([&] { return pair.one->sink.is_complete(1); }));
  CHECK(got == pattern(1, 60'000));
  pair.check_sound();
}

TEST_CASE("rails: the peer is lost with the last rail, once") {
  Pair pair(3);
  Bytes data = pattern(1, 16 * kMiB);
  Bytes got(data.size());
  pair.zero->send(data, 1, 1);
  pair.one->receive(got, 1, 1);
  pair.zero->progress();
  pair.one->progress();
  for (std::size_t rail = 0; rail < 3; ++rail) {
    CHECK(pair.zero->sink.closed.empty());
    cut(pair.one->rails[rail]);
  }
  REQUIRE(pair.drive(
      [&] { return !pair.zero->sink.closed.empty() && !pair.one->sink.closed.empty(); }));
  for (Side* side : {pair.zero.get(), pair.one.get()}) {
    side->progress();
    side->check_host();
    CHECK(side->sink.closed.size() == 1);
    CHECK(side->sink.faults == std::vector<std::string>{});
    CHECK(side->connection.flushed());
    CHECK(side->connection.delivered());
  }
}

TEST_CASE(
    "rails: a sender that waits hears that its bytes were read, though nobody reads its own") {
  // Rank 0 posts its receive only after its send, whose end rank 1 tells behind an early message.
  Pair pair(2);
  Bytes first = pattern(1, 20 * kMiB);
  Bytes early = pattern(2, 2 * kMiB);
  Bytes got_first(first.size());
  Bytes got_early(early.size());
  pair.one->send(early, 1, 1);
  pair.zero->send(first, 1, 1);
  pair.one->receive(got_first, 1, 2);
  REQUIRE(pair.drive([&] { return pair.zero->sink.is_complete(1); }));
  pair.zero->receive(got_early, 1, 2);
  REQUIRE(
      pair.drive([&] { return pair.zero->sink.is_complete(2) && pair.one->sink.is_complete(2); }));
  CHECK(got_first == first);
  CHECK(got_early == early);
  pair.check_sound();
}

TEST_CASE("rails: a rail that answers nobody is left out, and both sides agree") {
  World world;
  for (Rank rank = 0; rank < 2; ++rank) world.push_back(std::make_unique<TestRank>(kRails, rank));
  auto addresses = listen_all(world);
  // Nobody listens there any more.
  const std::string& text = addresses[0].address;
  const UniqueFd other = listen_tcp("127.0.0.1", 0).value();
  addresses[0].address =
      text.substr(0, text.rfind(':') + 1) + std::to_string(local_port(other.get()).value());
  std::vector<std::function<void()>> functions;
  for (auto& rank : world) {
    functions.push_back([&rank = *rank, &addresses] {
      const Status status = connect_one(rank, addresses, {});
      require(status.ok(), status.message());
    });
  }
  CHECK(run_threads(functions) == std::vector<std::string>{});
  const Bytes data = pattern(1, 3 * kMiB);
  Bytes got(data.size());
  REQUIRE(world[0]->send(1, data, 1, 1).ok());
  REQUIRE(world[1]->receive(0, got, 1, 1).ok());
  REQUIRE(drive(world, [&] { return world[1]->sink.is_complete(1); }));
  CHECK(got == data);
}

}  // namespace
}  // namespace smddp::test
