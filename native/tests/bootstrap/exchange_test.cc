#include "bootstrap/exchange.h"

#include <algorithm>
#include <chrono>
#include <latch>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "bootstrap/memory_store.h"
#include "bootstrap/prefix_store.h"
#include "bootstrap/store_support.h"

namespace smddp::test {
namespace {

using std::chrono::milliseconds;

RankInfo info_of(Rank rank) {
  RankInfo info;
  info.rank = rank;
  info.pid = 1000 + 7 * rank;
  info.host_id = "host " + std::to_string(rank / 2);
  info.host_name = "node-" + std::to_string(rank / 2);
  info.addresses["tcp"] = "10.0.0." + std::to_string(rank) + ":1";
  info.abstract_name = "socket of " + std::to_string(rank);
  return info;
}

Introduction introduce(Rank rank, int world, const std::string& secret = "") {
  return {.mine = info_of(rank), .world = world, .job_secret = secret};
}

/// Runs one exchange per introduction, each in its thread.
std::vector<Result<Roster>> run(Store& store, const std::vector<Introduction>& introductions,
                                Deadline deadline) {
  std::vector<Result<Roster>> results(introductions.size(), Status::again());
  run_threads(static_cast<int>(introductions.size()), [&](int i) {
    const auto index = static_cast<std::size_t>(i);
    results[index] = exchange(store, introductions[index], deadline);
  });
  return results;
}

std::vector<Introduction> introduce_all(int world, const std::set<Rank>& but = {},
                                        const std::string& secret = "") {
  std::vector<Introduction> all;
  for (Rank rank = 0; rank < world; ++rank) {
    if (!but.contains(rank)) all.push_back(introduce(rank, world, secret));
  }
  return all;
}

TEST_CASE("exchange: every rank gets the same roster with everybody's facts") {
  for (const int world : {1, 2, 3, 8}) {
    MemoryStore store;
    const auto results = run(store, introduce_all(world), soon());
    for (const auto& result : results) {
      REQUIRE(result.ok());
      REQUIRE(result.value().ranks.size() == static_cast<std::size_t>(world));
      for (Rank rank = 0; rank < world; ++rank) {
        CHECK((result.value().ranks[static_cast<std::size_t>(rank)] == info_of(rank)));
      }
      CHECK(result.value().secret.size() == 32);
      CHECK((result.value().secret == results[0].value().secret));
    }
  }
}

TEST_CASE("exchange: a random secret differs each time, a job's secret is used and never stored") {
  const auto store = std::make_shared<MemoryStore>();
  PrefixStore first(store, "first");
  PrefixStore second(store, "second");
  const auto a = run(first, introduce_all(2), soon());
  const auto b = run(second, introduce_all(2), soon());
  REQUIRE((a[0].ok() && b[0].ok()));
  CHECK((a[0].value().secret != b[0].value().secret));

  PrefixStore third(store, "third");
  const std::string secret = "the secret of this job";
  for (const auto& result : run(third, introduce_all(3, {}, secret), soon())) {
    REQUIRE(result.ok());
    CHECK(result.value().secret == secret);
  }
  for (const std::string key : {"roster", "rank-0", "rank-1", "rank-2"}) {
    CHECK_FALSE(contains(third.get(key, past()).value(), secret));
  }
}

/// Answers nothing before `present` ranks have introduced themselves: a rank whose thread was not
/// scheduled in time is late in these tests, not absent.
class PatientStore final : public Store {
 public:
  PatientStore(Store& store, std::latch& present) : store_(store), present_(present) {}

  Status set(const std::string& key, const std::string& value, Deadline deadline) override {
    Status status = store_.set(key, value, std::max(deadline, soon()));
    if (key.starts_with("rank-")) present_.count_down();
    return status;
  }
  Result<std::string> get(const std::string& key, Deadline deadline) override {
    present_.wait();
    return store_.get(key, deadline);
  }
  Result<std::int64_t> add(const std::string& key, std::int64_t delta, Deadline deadline) override {
    return store_.add(key, delta, deadline);
  }

 private:
  Store& store_;
  std::latch& present_;
};

void check_names_missing(const Status& status, const std::string& ranks) {
  CHECK(status.code() == StatusCode::kTimeout);
  CHECK(status.message().starts_with(ranks + " did not join within "));
  CHECK(status.message().ends_with(" s"));
}

TEST_CASE("exchange: on time-out every rank names exactly the ranks that did not join") {
  struct Case {
    std::set<Rank> absent;
    std::string named;
  };
  for (const Case& each :
       {Case{{2, 5}, "rank 2, rank 5"}, Case{{7}, "rank 7"}, Case{{0, 3}, "rank 0, rank 3"}}) {
    CAPTURE(each.named);
    const auto introductions = introduce_all(8, each.absent);
    MemoryStore memory;
    std::latch present(static_cast<std::ptrdiff_t>(introductions.size()));
    PatientStore store(memory, present);
    for (const auto& result : run(store, introductions, Deadline::after(milliseconds{100}))) {
      check_names_missing(result.status(), each.named);
    }
  }
}

TEST_CASE(
    "exchange: missing ranks through a served store, where each rank has its own connection") {
  const ServedStore served;
  std::latch present(3);
  std::vector<Result<Roster>> results(4, Status::again());
  run_threads(4, [&](int rank) {
    if (rank == 2) return;
    const auto client = rank % 2 == 0 ? served.abstract_client() : served.tcp_client();
    PatientStore store(*client, present);
    results[static_cast<std::size_t>(rank)] =
        exchange(store, introduce(rank, 4), Deadline::after(milliseconds{100}));
  });
  for (const std::size_t rank : {0, 1, 3}) check_names_missing(results[rank].status(), "rank 2");
}

TEST_CASE("exchange: the error tells how long the ranks were waited for") {
  MemoryStore store;
  const auto result = exchange(store, introduce(0, 2), Deadline::after(milliseconds{200}));
  CHECK(result.status().message() == "rank 1 did not join within 0.2 s");
}

TEST_CASE("exchange: a long list of missing ranks is cut short") {
  MemoryStore store;
  const auto result = exchange(store, introduce(0, 40), moment());
  CHECK(contains(result.status().message(), "rank 1, rank 2, "));
  CHECK(contains(result.status().message(), "rank 16 and 23 more did not join"));
}

TEST_CASE("exchange: rank 0 that joins and then says nothing is the one to blame") {
  MemoryStore store;
  // All records are there, the list of ranks is not: as if rank 0 had stopped in between.
  for (Rank rank = 0; rank < 3; ++rank)
    REQUIRE(store.set("rank-" + std::to_string(rank), "x", soon()).ok());
  const auto result = exchange(store, introduce(1, 3), moment());
  CHECK(result.status().code() == StatusCode::kTimeout);
  CHECK(contains(result.status().message(), "rank 0 did not publish"));
}

/// All ranks report the same configuration error that has `part` in it.
void check_all_say(const std::vector<Result<Roster>>& results, const std::string& part) {
  for (const auto& result : results) {
    CHECK(result.status().code() == StatusCode::kConfig);
    CHECK(contains(result.status().message(), part));
    CHECK(result.status().message() == results[0].status().message());
  }
}

TEST_CASE("exchange: ranks that do not fit together are told on all ranks") {
  MemoryStore worlds;
  auto different_world = introduce_all(4);
  different_world[2].world = 8;
  check_all_say(run(worlds, different_world, soon()),
                "rank 2 was started for a world of 8 ranks and rank 0 for 4");

  MemoryStore one_secret;
  auto only_rank_1 = introduce_all(3);
  only_rank_1[1].job_secret = "s";
  check_all_say(run(one_secret, only_rank_1, soon()),
                "rank 1 has SMDDP_JOB_SECRET and rank 0 lacks it");

  MemoryStore other_secret;
  auto not_rank_1 = introduce_all(3, {}, "s");
  not_rank_1[1].job_secret = "";
  check_all_say(run(other_secret, not_rank_1, soon()),
                "rank 1 lacks SMDDP_JOB_SECRET and rank 0 has it");

  MemoryStore settings;
  auto other_chunk = introduce_all(3);
  for (auto& introduction : other_chunk)
    introduction.settings = "SMDDP_A=one two\nSMDDP_CHUNK_BYTES=4096";
  other_chunk[1].settings = "SMDDP_A=one two\nSMDDP_CHUNK_BYTES=8192";
  check_all_say(run(settings, other_chunk, soon()),
                name_of(other_chunk[1].mine, {}) + " has SMDDP_CHUNK_BYTES=8192 and " +
                    name_of(other_chunk[0].mine, {}) + " has SMDDP_CHUNK_BYTES=4096; ");

  MemoryStore version;
  REQUIRE(version.set("rank-1", "a record of another version", soon()).ok());
  check_all_say({exchange(version, introduce(0, 2), soon())}, "same version of smddp");
}

TEST_CASE("exchange: a rank that another process has too is told so") {
  MemoryStore store;
  auto twice = introduce_all(2);
  twice.push_back(introduce(1, 2));
  twice.back().mine.pid = 4711;
  const auto results = run(store, twice, soon());
  CHECK(results[0].ok());
  CHECK(results[1].ok() != results[2].ok());
  const Status loser = results[1].ok() ? results[2].status() : results[1].status();
  CHECK(loser.code() == StatusCode::kConfig);
  CHECK(contains(loser.message(), "rank 1 was started twice"));
  CHECK(contains(loser.message(), "4711"));
}

TEST_CASE("exchange: what rank 0 publishes is not trusted") {
  MemoryStore good;
  run(good, introduce_all(2), soon());
  const std::string roster = good.get("roster", past()).value();
  for (std::size_t size = 0; size < roster.size(); ++size) {
    MemoryStore store;
    REQUIRE(store.set("roster", roster.substr(0, size), soon()).ok());
    CHECK(exchange(store, introduce(1, 2), soon()).status().code() == StatusCode::kConfig);
  }
  MemoryStore longer;
  REQUIRE(longer.set("roster", roster + "x", soon()).ok());
  CHECK_FALSE(exchange(longer, introduce(1, 2), soon()).ok());
  MemoryStore exact;
  REQUIRE(exact.set("roster", roster, soon()).ok());
  CHECK(exchange(exact, introduce(1, 2), soon()).ok());
}

TEST_CASE("exchange: a server that dies is reported, not waited for") {
  ServedStore served;
  const auto client = served.abstract_client();
  std::thread follower([&] {
    const auto result = exchange(*client, introduce(1, 2), soon());
    CHECK(result.status().code() == StatusCode::kPeerLost);
  });
  // Rank 1 has published itself, so it is there.
  CHECK(served.tcp_client()->get("rank-1", soon()).ok());
  served.server.reset();
  follower.join();
}

TEST_CASE("exchange: bad arguments") {
  MemoryStore store;
  CHECK(exchange(store, introduce(2, 2), soon()).status().code() == StatusCode::kInvalidArgument);
  CHECK(exchange(store, introduce(-1, 2), soon()).status().code() == StatusCode::kInvalidArgument);
  CHECK(exchange(store, introduce(0, 0), soon()).status().code() == StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace smddp::test
