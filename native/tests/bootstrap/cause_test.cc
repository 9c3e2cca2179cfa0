#include "bootstrap/cause.h"

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "bootstrap/memory_store.h"
#include "bootstrap/store_support.h"

namespace smddp::test {
namespace {

Status missing(const std::vector<Rank>& ranks) {
  return {StatusCode::kTimeout, "my own words", ranks};
}

/// What each of the ranks concludes, when each of them has failed so.
std::map<Rank, Status> conclude(const std::map<Rank, Status>& failures,
                                const std::vector<Rank>& labels = {}) {
  MemoryStore store;
  std::vector<std::pair<Rank, Status>> ranks{failures.begin(), failures.end()};
  run_threads(static_cast<int>(ranks.size()), [&](int i) {
    auto& [rank, failure] = ranks[static_cast<std::size_t>(i)];
    failure = find_cause(store, rank, labels, failure);
  });
  return {ranks.begin(), ranks.end()};
}

TEST_CASE("cause: all name the rank that says nothing, not those that wait for it too") {
  // Rank 2 is connected for collectives, so it waits for the others' message connections.
  const auto found =
      conclude({{0, missing({3})}, {1, missing({2, 3})}, {2, missing({0, 1})}}, {10, 11, 12, 13});
  CHECK(found.at(0).message() == "my own words");
  CHECK(found.at(1).message() ==
        "gave up waiting for the connection to rank 13 (rank 12, rank 10 waited too)");
  CHECK(found.at(2).message() ==
        "gave up waiting for the connection to rank 13 (rank 10, rank 11 waited too)");
  for (const auto& [rank, status] : found) {
    CHECK(status.code() == StatusCode::kTimeout);
    CHECK(status.missing() == std::vector<Rank>{3});
  }
}

TEST_CASE("cause: a failure that is not about waiting goes round") {
  const Status dead{StatusCode::kPeerLost, "rank 3 (hostB, pid 7) died"};
  const auto found = conclude({{0, missing({1, 2})}, {1, missing({2})}, {2, dead}});
  for (const Rank rank : {0, 1}) {
    CHECK(found.at(rank).code() == StatusCode::kPeerLost);
    CHECK(found.at(rank).message() == "rank 2 gave up: rank 3 (hostB, pid 7) died");
  }
  CHECK(found.at(2).message() == dead.message());
}

TEST_CASE("cause: where everybody answers each keeps its own failure, at once") {
  const auto begin = std::chrono::steady_clock::now();
  const auto found = conclude({{0, missing({1})}, {1, missing({0})}});
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds{1});
  for (const auto& [rank, status] : found) CHECK(status.message() == "my own words");
}

TEST_CASE("cause: without a store each keeps its own failure") {
  class BrokenStore final : public Store {
    Status set(const std::string&, const std::string&, Deadline) override { return lost(); }
    Result<std::string> get(const std::string&, Deadline) override { return lost(); }
    Result<std::int64_t> add(const std::string&, std::int64_t, Deadline) override { return lost(); }
    static Status lost() { return {StatusCode::kPeerLost, "the store is gone"}; }
  };
  BrokenStore store;
  CHECK(find_cause(store, 0, {}, missing({1, 2})).message() == "my own words");
}

}  // namespace
}  // namespace smddp::test
