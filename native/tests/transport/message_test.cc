#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "transport/harness.h"

// Every case runs over every transport: a new one of the registry joins by its line there.

namespace smddp::test {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::size_t kMiB = 1024 * 1024;
// More than any socket buffer holds.
constexpr std::size_t kHuge = 40 * kMiB;

void check_sound(const World& world) {
  for (const auto& rank : world) {
    CHECK(rank->sink.faults == std::vector<std::string>{});
    CHECK(rank->sink.mismatches.empty());
    CHECK(rank->sink.closed.empty());
  }
}

TEST_CASE("messages of any size arrive whole, whoever posts first") {
  for (const std::string& name : all_transport_names()) {
    World world = connected_world(name, 2);
    unsigned op = 0;
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{7},
                                   std::size_t{4096}, std::size_t{8129}, kMiB + 3, kHuge + 1}) {
      for (const bool receive_first : {true, false}) {
        CAPTURE(name);
        CAPTURE(size);
        CAPTURE(receive_first);
        const Bytes data = pattern(++op, size);
        Bytes got(size);
        if (receive_first) REQUIRE(world[1]->receive(0, got, op, op).ok());
        REQUIRE(world[0]->send(1, data, op, op).ok());
        if (!receive_first) {
          settle(world);
          CHECK_FALSE(world[1]->sink.is_complete(op));
          REQUIRE(world[1]->receive(0, got, op, op).ok());
        }
        REQUIRE(drive(world, [&] {
          return world[0]->sink.is_complete(op) && world[1]->sink.is_complete(op);
        }));
        CHECK(got == data);
        CHECK(world[0]->transport->flushed());
      }
    }
    check_sound(world);
  }
}

TEST_CASE("huge messages cross in both directions at once") {
  for (const std::string& name : all_transport_names()) {
    CAPTURE(name);
    World world = connected_world(name, 2);
    std::vector<Bytes> data;
    std::vector<Bytes> got(2, Bytes(kHuge));
    for (unsigned rank = 0; rank < 2; ++rank) data.push_back(pattern(rank + 1, kHuge));
    for (Rank rank = 0; rank < 2; ++rank) {
      const auto slot = static_cast<std::size_t>(rank);
      // The send is first in the queue of both: nobody may insist on finishing it before reading.
      REQUIRE(world[slot]->send(1 - rank, data[slot], 1, 1).ok());
      REQUIRE(world[slot]->receive(1 - rank, got[slot], 1, 2).ok());
    }
    REQUIRE(drive(world, [&] {
      return world[0]->sink.completed.size() + world[1]->sink.completed.size() == 4;
    }));
    CHECK(got[0] == data[1]);
    CHECK(got[1] == data[0]);
    check_sound(world);
  }
}

TEST_CASE("the k-th send meets the k-th receive, with every peer on its own") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  for (const std::string& name : all_transport_names()) {
    CAPTURE(name);
    std::mt19937 random(seed);
    World world = connected_world(name, 3);
    constexpr unsigned kMessages = 300;
    std::vector<Bytes> data;
    std::vector<Bytes> got;
    for (unsigned i = 0; i < 2 * kMessages; ++i) {
      data.push_back(pattern(i, random() % (i % 10 == 0 ? 200'000 : 300)));
      got.emplace_back(data.back().size());
    }
    // Ranks 1 and 2 send to rank 0; both sides post in bursts of random length.
    unsigned sent[2] = {0, 0};
    unsigned posted[2] = {0, 0};
    while (sent[0] + sent[1] + posted[0] + posted[1] < 4 * kMessages) {
      const unsigned who = random() % 2;
      const auto peer = static_cast<Rank>(who + 1);
      for (unsigned burst = random() % 40; burst > 0 && sent[who] < kMessages; --burst) {
        const unsigned i = who * kMessages + sent[who]++;
        REQUIRE(world[who + 1]->send(0, data[i], i, i).ok());
      }
      for (unsigned burst = random() % 40; burst > 0 && posted[who] < kMessages; --burst) {
        const unsigned i = who * kMessages + posted[who]++;
        REQUIRE(world[0]->receive(peer, got[i], i, i).ok());
      }
      for (auto& rank : world) rank->progress();
    }
    REQUIRE(drive(world, [&] { return world[0]->sink.completed.size() == 2 * kMessages; }));
    REQUIRE(drive(
        world, [&] { return world[1]->transport->flushed() && world[2]->transport->flushed(); }));
    CHECK(got == data);
    for (unsigned i = 1; i < kMessages; ++i) {
      CHECK(world[0]->sink.completed[i - 1] < world[0]->sink.completed[i]);
      CHECK(world[0]->sink.completed[kMessages + i - 1] < world[0]->sink.completed[kMessages + i]);
    }
    settle(world);
    CHECK(world[1]->sink.completed.size() == kMessages);
    check_sound(world);
  }
}

TEST_CASE("a message that differs from the receive is a mismatch, and nothing else happens") {
  struct Case {
    const char* what;
    std::size_t bytes;
    unsigned tag;
    unsigned envelope;
  };
  for (const std::string& name : all_transport_names()) {
    for (const Case& sent :
         {Case{"size", 99, 1, 1}, Case{"tag", 100, 2, 1}, Case{"envelope", 100, 1, 2}}) {
      CAPTURE(name);
      CAPTURE(sent.what);
      World world = connected_world(name, 2);
      const Bytes data = pattern(1, sent.bytes);
      const Bytes untouched = pattern(9, 100);
      Bytes got = untouched;
      const Bytes more = pattern(2, 4);
      Bytes next(more.size());
      const Envelope theirs = envelope(sent.envelope);
      REQUIRE(world[1]->receive(0, got, 1, 1).ok());
      REQUIRE(world[1]->receive(0, next, 2, 2).ok());
      REQUIRE(
          world[0]->transport->post_send(1, {data.data(), data.size(), sent.tag, &theirs}, 1).ok());
      REQUIRE(world[0]->send(1, more, 2, 2).ok());
      REQUIRE(drive(world, [&] { return !world[1]->sink.mismatches.empty(); }));
      settle(world);
      REQUIRE(world[1]->sink.mismatches.size() == 1);
      CHECK(world[1]->sink.mismatches[0].first == 0);
      CHECK(world[1]->sink.mismatches[0].second == theirs);
      CHECK(world[1]->sink.completed.empty());
      CHECK(got == untouched);

      // The other direction lives on, so that the failure can be told.
      world[1]->notice(0, "we differ");
      REQUIRE(drive(world, [&] { return !world[0]->sink.notices.empty(); }));
      CHECK(world[0]->sink.notices[0].second == "we differ");
    }
  }
}

TEST_CASE("notices keep their place among the messages") {
  for (const std::string& name : all_transport_names()) {
    CAPTURE(name);
    World world = connected_world(name, 2);
    const Bytes first = pattern(1, 3 * kMiB + 1);
    const Bytes second = pattern(2, 5 * kMiB);
    Bytes got_first(first.size());
    Bytes got_second(second.size());
    const std::string longest(Transport::kMaxNoticeBytes, 'x');
    world[0]->notice(1, "before");
    REQUIRE(world[0]->send(1, first, 1, 1).ok());
    world[0]->notice(1, longest);
    world[0]->notice(1, "");
    REQUIRE(world[0]->send(1, second, 2, 2).ok());
    world[0]->notice(1, "after");

    REQUIRE(drive(world, [&] { return world[1]->sink.notices.size() == 1; }));
    settle(world);
    CHECK(world[1]->sink.notices.size() == 1);
    REQUIRE(world[1]->receive(0, got_first, 1, 1).ok());
    REQUIRE(drive(world, [&] { return world[1]->sink.notices.size() == 3; }));
    CHECK(world[1]->sink.is_complete(1));
    REQUIRE(world[1]->receive(0, got_second, 2, 2).ok());
    REQUIRE(drive(world, [&] { return world[1]->sink.notices.size() == 4; }));
    CHECK(world[1]->sink.is_complete(2));
    CHECK(got_first == first);
    CHECK(got_second == second);
    using Notices = std::vector<std::pair<Rank, std::string>>;
    CHECK(world[1]->sink.notices == Notices{{0, "before"}, {0, longest}, {0, ""}, {0, "after"}});
    check_sound(world);
  }
}

TEST_CASE("steps may be posted from inside a completion") {
  for (const std::string& name : all_transport_names()) {
    CAPTURE(name);
    World world = connected_world(name, 2);
    constexpr unsigned kMessages = 200;
    const Bytes data = pattern(3, 1000);
    Bytes got(data.size());
    unsigned sent = 0;
    unsigned received = 0;
    world[0]->sink.on_event = [&] {
      if (++sent < kMessages) CHECK(world[0]->send(1, data, sent, sent).ok());
    };
    world[1]->sink.on_event = [&] {
      if (++received < kMessages) CHECK(world[1]->receive(0, got, received, received).ok());
    };
    REQUIRE(world[0]->send(1, data, 0, 0).ok());
    REQUIRE(world[1]->receive(0, got, 0, 0).ok());
    REQUIRE(drive(world, [&] { return sent == kMessages && received == kMessages; }));
    check_sound(world);
  }
}

TEST_CASE("a rank that is not connected cannot be posted to") {
  for (const std::string& name : all_transport_names()) {
    CAPTURE(name);
    World world = connected_world(name, 2);
    Bytes data(1);
    using Named = std::pair<Rank, std::string>;
    for (const auto& [peer, called] : {Named{-1, "rank -1"}, Named{0, "rank 100"},
                                       Named{2, "rank 102"}, Named{1000, "rank 1000"}}) {
      const Status sent = world[0]->send(peer, data, 1, 1);
      CHECK(sent.code() == StatusCode::kInvalidArgument);
      CHECK(sent.message().find(called) != std::string::npos);
      CHECK(world[0]->receive(peer, data, 1, 1).code() == StatusCode::kInvalidArgument);
      world[0]->notice(peer, "nobody");
    }
    check_sound(world);
  }
}

TEST_CASE("ranks in threads of their own sleep and are woken by what arrives") {
  for (const std::string& name : all_transport_names()) {
    CAPTURE(name);
    World world = connected_world(name, 2);
    constexpr unsigned kRounds = 2000;
    std::vector<std::function<void()>> functions;
    for (unsigned self = 0; self < 2; ++self) {
      functions.push_back([&rank = *world[self], self] {
        const Rank peer = 1 - rank.self;
        for (unsigned round = 0; round < kRounds; ++round) {
          const Bytes data = pattern(2 * round + self, 8);
          Bytes got(8);
          const auto send = [&] { require(rank.send(peer, data, round, 2 * round).ok(), "send"); };
          require(rank.receive(peer, got, round, 2 * round + 1).ok(), "receive");
          if (self == 0) send();
          require(rank.run_until([&] { return rank.sink.is_complete(2 * round + 1); }, soon()),
                  "deadline");
          if (self == 1) send();
          require(rank.run_until([&] { return rank.sink.is_complete(2 * round); }, soon()),
                  "deadline");
          require(got == pattern(2 * round + 1 - self, 8), "wrong data");
        }
      });
    }
    const auto begin = Deadline::Clock::now();
    CHECK(run_threads(functions) == std::vector<std::string>{});
    // Each lost wake-up costs a whole second of sleep.
    CHECK(Deadline::Clock::now() - begin < std::chrono::seconds(15));
    check_sound(world);
  }
}

/// Sleeps in the transport whenever nothing moves, as callers do who drive their own operation.
bool sleep_until(TestRank& rank, const std::function<bool()>& done) {
  const Deadline deadline = soon();
  while (!done()) {
    if (rank.progress()) continue;
    if (deadline.passed()) return false;
    rank.transport->sleep(std::chrono::seconds{1});
  }
  return true;
}

TEST_CASE("a rank that sleeps in the transport is woken by what comes, and by nothing else") {
  unsigned sleepers = 0;
  for (const std::string& name : all_transport_names()) {
    CAPTURE(name);
    World world = connected_world(name, 2);
    settle(world);
    Transport& sleeper = *world[1]->transport;
    if (!sleeper.can_sleep()) continue;
    ++sleepers;
    // It may look again a few times first.
    int looks = 0;
    while (sleeper.sleep(std::chrono::milliseconds{1}) && looks < 100) ++looks;
    CHECK(looks < 100);
    const Bytes data = pattern(1, 100);
    Bytes got(data.size());
    REQUIRE(world[1]->receive(0, got, 1, 1).ok());
    REQUIRE(world[0]->send(1, data, 1, 1).ok());
    REQUIRE(world[0]->run_until([&] { return world[0]->sink.is_complete(1); }, soon()));
    CHECK(sleeper.sleep(std::chrono::seconds{30}));
    REQUIRE(sleep_until(*world[1], [&] { return world[1]->sink.is_complete(1); }));
    CHECK(got == data);
  }
  CHECK(sleepers >= 2);
}

TEST_CASE("no wake-up is lost by ranks that sleep in the transport") {
  for (const std::string& name : all_transport_names()) {
    CAPTURE(name);
    World world = connected_world(name, 2);
    if (!world[0]->transport->can_sleep()) continue;
    std::vector<std::function<void()>> functions;
    for (unsigned self = 0; self < 2; ++self) {
      functions.push_back([&rank = *world[self], self] {
        const Rank peer = 1 - rank.self;
        for (unsigned round = 0; round < 300; ++round) {
          // Short ones, and now and then one that needs several turns of both.
          const std::size_t size = round % 30 == 29 ? 700'001 : 8;
          const Bytes data = pattern(2 * round + self, size);
          Bytes got(size);
          require(rank.receive(peer, got, round, 2 * round + 1).ok(), "receive");
          require(rank.send(peer, data, round, 2 * round).ok(), "send");
          const auto over = [&] {
            return rank.sink.is_complete(2 * round) && rank.sink.is_complete(2 * round + 1);
          };
          require(sleep_until(rank, over), "deadline");
          require(got == pattern(2 * round + 1 - self, size), "wrong data");
        }
      });
    }
    const auto begin = Deadline::Clock::now();
    CHECK(run_threads(functions) == std::vector<std::string>{});
    // Each lost wake-up costs a whole second of sleep.
    CHECK(Deadline::Clock::now() - begin < std::chrono::seconds(10));
    check_sound(world);
  }
}

TEST_CASE("all ranks exchange with all others, each in its own thread") {
  for (const std::string& name : all_transport_names()) {
    CAPTURE(name);
    constexpr Rank kWorld = 5;
    constexpr std::size_t kSize = 300'001;
    World world = connected_world(name, kWorld);
    std::vector<std::function<void()>> functions;
    for (auto& each : world) {
      functions.push_back([&rank = *each] {
        for (unsigned round = 0; round < 5; ++round) {
          std::vector<Bytes> data(kWorld);
          std::vector<Bytes> got(kWorld, Bytes(kSize));
          const auto seed = [&](Rank from, Rank to) {
            return round * 100 + static_cast<unsigned>(from * kWorld + to);
          };
          const Token first = round * 2 * kWorld;
          for (Rank peer = 0; peer < kWorld; ++peer) {
            if (peer == rank.self) continue;
            const auto slot = static_cast<std::size_t>(peer);
            data[slot] = pattern(seed(rank.self, peer), kSize);
            require(rank.receive(peer, got[slot], round, first + 2 * static_cast<Token>(peer)).ok(),
                    "receive");
            require(
                rank.send(peer, data[slot], round, first + 2 * static_cast<Token>(peer) + 1).ok(),
                "send");
          }
          const std::size_t expected = (round + 1) * 2 * (kWorld - 1);
          require(rank.run_until([&] { return rank.sink.completed.size() == expected; }, soon()),
                  "deadline");
          for (Rank peer = 0; peer < kWorld; ++peer) {
            if (peer == rank.self) continue;
            require(got[static_cast<std::size_t>(peer)] == pattern(seed(peer, rank.self), kSize),
                    "wrong data");
          }
        }
      });
    }
    CHECK(run_threads(functions) == std::vector<std::string>{});
    check_sound(world);
  }
}

}  // namespace
}  // namespace smddp::test
