#include "engine/board.h"

#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "memory/mapping.h"

namespace smddp {
namespace {

constexpr int kWorld = 5;
constexpr int kLocal = 3;

struct Fixture {
  Mapping memory = std::move(Mapping::anonymous(Board::bytes_needed(kWorld, kLocal))).value();
  Board board{memory.bytes(), kWorld, kLocal, 0};
};

TEST_CASE_FIXTURE(Fixture, "a rank's progress never goes back") {
  CHECK(board.started(4) == 0);
  CHECK_FALSE(board.last_signature(4).has_value());
  const Signature later{.sequence = 7, .count = 3, .collective = Collective::kAllReduce};
  board.set_started(4, later);
  board.set_started(4, Signature{.sequence = 2});
  CHECK(board.started(4) == 8);
  CHECK(*board.last_signature(4) == later);
  CHECK(board.started(3) == 0);
}

TEST_CASE_FIXTURE(Fixture, "what a rank has started is told while it is at it, and only then") {
  const Signature seventh{.sequence = 7, .count = 3, .collective = Collective::kAllReduce};
  CHECK_FALSE(board.started_as(1, 7).has_value());
  board.set_started(1, seventh);
  CHECK(board.started_as(1, 7) == seventh);
  CHECK_FALSE(board.started_as(1, 6).has_value());
  CHECK_FALSE(board.started_as(1, 8).has_value());
  board.set_started(1, Signature{.sequence = 8});
  CHECK_FALSE(board.started_as(1, 7).has_value());
}

TEST_CASE_FIXTURE(Fixture, "a signature is never read half of one and half of the next") {
  constexpr std::uint64_t kLast = 200'000;
  std::thread writer{[this] {
    for (std::uint64_t i = 1; i <= kLast; ++i)
      board.set_started(2, Signature{.sequence = i, .count = i, .counts_hash = ~i});
  }};
  bool is_whole = true;
  for (std::uint64_t seen = 0; seen <= kLast; seen = board.started(2)) {
    if (seen == 0) continue;
    const auto read = board.started_as(2, seen - 1);
    is_whole &= !read || (read->count == seen - 1 && read->counts_hash == ~(seen - 1));
  }
  writer.join();
  CHECK(is_whole);
}

TEST_CASE_FIXTURE(Fixture, "that a rank waits is forgotten when it stops saying so") {
  const auto now = Deadline::Clock::now();
  CHECK_FALSE(board.waits_for(3, now).has_value());
  board.set_started(3, Signature{.sequence = 7});
  board.set_waiting(3, 7, 0, now);
  CHECK(board.waits_for(3, now) == 0);
  CHECK(board.waits_for(3, now + std::chrono::seconds{1}) == 0);
  CHECK_FALSE(board.waits_for(3, now + std::chrono::seconds{2}).has_value());
  CHECK_FALSE(board.waits_for(0, now).has_value());
}

TEST_CASE_FIXTURE(Fixture, "a wait ends with its operation") {
  const auto now = Deadline::Clock::now();
  board.set_started(3, Signature{.sequence = 7});
  board.set_waiting(3, 7, 0, now);
  board.set_not_waiting(3);
  CHECK_FALSE(board.waits_for(3, now).has_value());
  board.set_waiting(3, 7, 0, now);
  board.set_started(3, Signature{.sequence = 8});
  CHECK_FALSE(board.waits_for(3, now).has_value());
}

TEST_CASE_FIXTURE(Fixture, "leaving is remembered with its number of operations") {
  CHECK_FALSE(board.left_after(2).has_value());
  CHECK(board.parting_words(2).empty());
  board.set_left(2, 0);
  CHECK(board.left_after(2) == 0);
  CHECK(board.parting_words(2).empty());
  CHECK_FALSE(board.left_after(1).has_value());
}

TEST_CASE_FIXTURE(Fixture, "parting words are whole, or cut between two characters") {
  const std::string longest(Board::kMaxPartingWords, 'w');
  board.set_left(4, 3, longest);
  CHECK(board.parting_words(4) == longest);
  CHECK(board.left_after(4) == 3);
  board.set_left(3, 3, longest.substr(1) + "\u00e4");
  CHECK(board.parting_words(3) == longest.substr(1));
  board.set_left(1, 0, "ValueError: bad batch");
  CHECK(board.parting_words(1) == "ValueError: bad batch");
  CHECK(board.parting_words(0).empty());
  CHECK_FALSE(board.is_asleep(0));
}

TEST_CASE_FIXTURE(Fixture, "parting words are heard by all local ranks at once") {
  std::vector<std::thread> hearers;
  for (int hearer = 0; hearer < kLocal; ++hearer) {
    hearers.emplace_back([this, hearer] {
      Board view{memory.bytes(), kWorld, kLocal, hearer};
      view.set_left(4, 9, "KeyError: 'a'");
      CHECK(view.parting_words(4) == "KeyError: 'a'");
    });
  }
  for (std::thread& hearer : hearers) hearer.join();
}

TEST_CASE_FIXTURE(Fixture, "of many faults exactly one is recorded, whole") {
  CHECK(board.fault().status.ok());
  std::vector<std::thread> writers;
  for (int writer = 0; writer < kLocal; ++writer) {
    writers.emplace_back([this, writer] {
      Board view{memory.bytes(), kWorld, kLocal, writer};
      const std::string text(1000, static_cast<char>('a' + writer));
      view.record_fault({Status{StatusCode::kPeerLost, text}, static_cast<std::uint64_t>(writer)});
    });
  }
  for (std::thread& writer : writers) writer.join();
  board.record_fault({Status{StatusCode::kTimeout, "too late"}, 9});
  const Fault fault = board.fault();
  CHECK(fault.status.code() == StatusCode::kPeerLost);
  CHECK(fault.status.message() == std::string(1000, static_cast<char>('a' + fault.sequence)));
}

TEST_CASE_FIXTURE(Fixture, "a fault text too long for the record is cut") {
  board.record_fault({Status{StatusCode::kTimeout, std::string(10000, 'x')}, 0});
  CHECK(board.fault().status.message().size() > 1000);
  CHECK(board.fault().status.message().size() < 10000);
}

TEST_CASE_FIXTURE(Fixture, "sleep flags are per local rank") {
  board.set_asleep(1, true);
  CHECK(board.is_asleep(1));
  CHECK_FALSE(board.is_asleep(0));
  CHECK_FALSE(board.is_asleep(2));
  board.set_asleep(1, false);
  CHECK_FALSE(board.is_asleep(1));
}

}  // namespace
}  // namespace smddp
