#include <algorithm>
#include <array>
#include <latch>
#include <numeric>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "transport/harness.h"

namespace smddp::test {
namespace {

using std::chrono::milliseconds;

/// Every rank says its number to every other one.
void check_talks(World& world) {
  for (auto& from : world) {
    for (auto& to : world) {
      if (from->self != to->self) from->notice(to->self, "from " + std::to_string(from->self));
    }
  }
  REQUIRE(drive(world, [&] {
    return std::all_of(world.begin(), world.end(), [&](const auto& rank) {
      return rank->sink.notices.size() + 1 == world.size();
    });
  }));
  for (auto& rank : world) {
    for (const auto& [peer, text] : rank->sink.notices)
      CHECK(text == "from " + std::to_string(peer));
    CHECK(rank->sink.faults == std::vector<std::string>{});
    CHECK(rank->sink.closed.empty());
  }
}

TEST_CASE("the registry makes what it names, and nothing else") {
  for (const std::string& name : transport_names()) {
    CHECK(make_transport(name, {}).value()->name() == name);
  }
  const Status unknown = make_transport("carrier pigeon", {}).status();
  CHECK(unknown.code() == StatusCode::kConfig);
  CHECK(unknown.message().find("carrier pigeon") != std::string::npos);
  CHECK(unknown.message().find("tcp") != std::string::npos);
}

TEST_CASE("a world of one has nobody to connect to") {
  for (const std::string& name : connectable_transports()) {
    CAPTURE(name);
    World world = connected_world(name, 1);
    CHECK_FALSE(world[0]->progress());
    CHECK(world[0]->transport->flushed());
  }
}

TEST_CASE("ranks may arrive in any order") {
  for (const std::string& name : connectable_transports()) {
    std::array<std::size_t, 4> order;
    std::iota(order.begin(), order.end(), 0);
    do {
      CAPTURE(name);
      CAPTURE(order);
      World world = make_world(name, 4);
      const auto addresses = listen_all(world);
      // Each rank starts when its predecessor is about to enter `connect`.
      std::array<std::latch, 5> turns{std::latch{1}, std::latch{1}, std::latch{1}, std::latch{1},
                                      std::latch{1}};
      turns[0].count_down();
      std::vector<std::function<void()>> functions;
      for (std::size_t place = 0; place < order.size(); ++place) {
        functions.push_back([&, place] {
          turns[place].wait();
          turns[place + 1].count_down();
          const Status status = connect_one(*world[order[place]], addresses, {});
          require(status.ok(), status.message());
        });
      }
      CHECK(run_threads(functions) == std::vector<std::string>{});
      check_talks(world);
    } while (std::next_permutation(order.begin(), order.end()));
  }
}

TEST_CASE("a rank that comes late is waited for") {
  for (const std::string& name : connectable_transports()) {
    for (const std::size_t late : {std::size_t{0}, std::size_t{2}}) {
      CAPTURE(name);
      CAPTURE(late);
      World world = make_world(name, 3);
      const auto addresses = listen_all(world);
      // The others have certainly begun to wait when a shorter deadline of one more attempt has
      // passed.
      World early = make_world(name, 3);
      std::vector<std::function<void()>> functions;
      for (std::size_t rank = 0; rank < world.size(); ++rank) {
        functions.push_back([&, rank] {
          if (rank == late) {
            Entrance brief;
            brief.deadline = Deadline::after(milliseconds(300));
            const auto nobody = listen_all(early);
            require(!connect_one(*early[rank], nobody, brief).ok(), "connected to nobody");
          }
          const Status status = connect_one(*world[rank], addresses, {});
          require(status.ok(), status.message());
        });
      }
      CHECK(run_threads(functions) == std::vector<std::string>{});
      check_talks(world);
    }
  }
}

TEST_CASE("ranks that never come are all named at the deadline, the others are not") {
  for (const std::string& name : connectable_transports()) {
    for (const bool lowest_missing : {true, false}) {
      CAPTURE(name);
      CAPTURE(lowest_missing);
      World world = make_world(name, 5);
      const auto addresses = listen_all(world);
      const std::vector<Rank> missing =
          lowest_missing ? std::vector<Rank>{0, 3} : std::vector<Rank>{2, 4};
      std::vector<Status> results(world.size());
      std::vector<std::function<void()>> functions;
      for (auto& rank : world) {
        if (std::find(missing.begin(), missing.end(), rank->self) != missing.end()) continue;
        functions.push_back([&, &rank = *rank] {
          Entrance brief;
          brief.deadline = Deadline::after(milliseconds(1000));
          results[static_cast<std::size_t>(rank.self)] = connect_one(rank, addresses, brief);
        });
      }
      CHECK(run_threads(functions) == std::vector<std::string>{});
      for (auto& rank : world) {
        if (std::find(missing.begin(), missing.end(), rank->self) != missing.end()) continue;
        const Status& result = results[static_cast<std::size_t>(rank->self)];
        CAPTURE(result.message());
        CHECK(result.code() == StatusCode::kTimeout);
        const std::size_t waiting = result.message().find("waiting");
        REQUIRE(waiting != std::string::npos);
        for (Rank other = 0; other < 5; ++other) {
          const bool named = result.message().find(label(other), waiting) != std::string::npos;
          const bool is_missing = std::find(missing.begin(), missing.end(), other) != missing.end();
          CHECK(named == is_missing);
        }
      }
    }
  }
}

TEST_CASE("a rank with another secret or of another communicator is not let in") {
  for (const std::string& name : connectable_transports()) {
    for (const Rank stranger : {0, 1}) {
      for (const bool other_secret : {true, false}) {
        CAPTURE(name);
        CAPTURE(stranger);
        CAPTURE(other_secret);
        World world = make_world(name, 2);
        const auto addresses = listen_all(world);
        std::vector<Status> results(2);
        std::vector<std::function<void()>> functions;
        for (auto& rank : world) {
          functions.push_back([&, &rank = *rank] {
            Entrance entrance;
            entrance.deadline = Deadline::after(milliseconds(400));
            if (rank.self == stranger)
              (other_secret ? entrance.secret : entrance.context) = "other";
            results[static_cast<std::size_t>(rank.self)] = connect_one(rank, addresses, entrance);
          });
        }
        CHECK(run_threads(functions) == std::vector<std::string>{});
        for (const Status& result : results) CHECK(result.code() == StatusCode::kTimeout);
      }
    }
  }
}

TEST_CASE("two communicators of the same ranks do not mix") {
  for (const std::string& name : connectable_transports()) {
    CAPTURE(name);
    World first = make_world(name, 3);
    World second = make_world(name, 3);
    const auto first_addresses = listen_all(first);
    const auto second_addresses = listen_all(second);
    std::vector<std::function<void()>> functions;
    const auto enter = [&](World& world, const std::vector<PeerAddress>& addresses,
                           const std::string& context) {
      for (auto& rank : world) {
        functions.push_back([&addresses, &rank = *rank, context] {
          Entrance entrance;
          entrance.context = context;
          const Status status = connect_one(rank, addresses, entrance);
          require(status.ok(), status.message());
        });
      }
    };
    enter(first, first_addresses, "first");
    enter(second, second_addresses, "second");
    CHECK(run_threads(functions) == std::vector<std::string>{});
    check_talks(first);
    check_talks(second);
  }
}

}  // namespace
}  // namespace smddp::test
