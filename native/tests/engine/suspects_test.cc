#include "engine/suspects.h"

#include <vector>

#include <doctest/doctest.h>

#include "memory/mapping.h"

namespace smddp {
namespace {

using Ranks = std::vector<Rank>;
using Clock = Deadline::Clock;

// Ranks 0, 1, 2 on one host, 3 on another; operation 7 runs.
struct Fixture {
  const Placement placement{{0, 0, 0, 1}};
  Mapping memory = std::move(Mapping::anonymous(Board::bytes_needed(4, 3))).value();
  Board board{memory.bytes(), 4, 3, 0};
  const Clock::time_point now = Clock::now();

  void start(const Ranks& ranks) {
    for (const Rank rank : ranks) board.set_started(rank, Signature{.sequence = 7});
  }
  void wait(Rank rank, Rank other) { board.set_waiting(rank, 7, other, now); }
  Suspects find(Rank self, const Ranks& missed) const {
    return find_suspects({board, placement, self, 7, missed}, now);
  }
};

TEST_CASE_FIXTURE(Fixture, "a local rank that has not started is missing, and only that one") {
  start({0, 1});
  wait(1, 2);
  const Suspects suspects = find(0, {1});
  CHECK(suspects.missing == Ranks{2});
  CHECK(suspects.first_hand);
  CHECK(suspects.foremost() == Ranks{2});
}

TEST_CASE_FIXTURE(Fixture, "a rank of another host is missing for the one that misses it") {
  start({0, 1, 2});
  const Suspects suspects = find(0, {3});
  CHECK(suspects.missing == Ranks{3});
  CHECK(suspects.first_hand);
}

TEST_CASE_FIXTURE(Fixture, "behind a rank that waits stands the one it waits for") {
  start({0, 1, 2});
  wait(0, 3);
  const Suspects suspects = find(1, {0});
  CHECK(suspects.foremost() == Ranks{3});
  CHECK_FALSE(suspects.first_hand);
}

TEST_CASE_FIXTURE(Fixture, "a chain is followed to its end") {
  start({0, 1, 2, 3});
  wait(0, 2);
  wait(1, 0);
  CHECK(find(3, {1}).foremost() == Ranks{2});
}

TEST_CASE_FIXTURE(Fixture, "who stopped saying that it waits is stuck itself") {
  start({0, 1, 2});
  board.set_waiting(0, 7, 3, now - std::chrono::seconds{5});
  const Suspects suspects = find(1, {0});
  CHECK(suspects.stuck == Ranks{0});
  CHECK(suspects.first_hand);
}

TEST_CASE_FIXTURE(Fixture, "ranks that wait for each other are all suspects, and nobody is sure") {
  start({0, 1, 2});
  wait(0, 1);
  wait(1, 0);
  const Suspects suspects = find(0, {1});
  CHECK(suspects.stuck == Ranks{1});
  CHECK_FALSE(suspects.first_hand);
}

TEST_CASE_FIXTURE(Fixture, "a rank is never its own suspect") {
  start({0, 1});
  wait(1, 0);
  const Suspects suspects = find(0, {1});
  CHECK(suspects.foremost() == Ranks{2});
  CHECK(find(1, {}).foremost() == Ranks{2});
}

TEST_CASE_FIXTURE(Fixture, "a local rank that still waits in an earlier operation is not the one") {
  start({0, 1});
  board.set_started(2, Signature{.sequence = 6});
  board.set_waiting(2, 6, 3, now);
  const Suspects suspects = find(0, {});
  CHECK(suspects.foremost() == Ranks{3});
  CHECK_FALSE(suspects.first_hand);
}

TEST_CASE_FIXTURE(Fixture, "every suspect is named once") {
  start({0, 1, 2});
  wait(1, 2);
  CHECK(find(0, {1, 2, 2}).stuck == Ranks{2});
  wait(2, 1);
  CHECK(find(0, {1, 2, 2}).stuck == Ranks{1, 2});
}

TEST_CASE_FIXTURE(Fixture, "nothing is missed, nobody is suspect") {
  start({0, 1, 2});
  CHECK(find(0, {}).foremost().empty());
}

}  // namespace
}  // namespace smddp
