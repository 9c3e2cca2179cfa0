#include "bootstrap/own_store.h"

#include <chrono>
#include <memory>
#include <string>

#include "base/socket.h"
#include "bootstrap/exchange.h"
#include "bootstrap/store_support.h"

namespace smddp::test {
namespace {

JobPlace place_of(Rank rank, int size, const std::string& job_id) {
  JobPlace place;
  place.rank = rank;
  place.size = size;
  place.local_size = size;
  place.job_id = job_id;
  return place;
}

/// One rank's part in a job: it learns who is there and leaves.
void meet(OwnStore& store, Rank rank, int size) {
  Introduction introduction;
  introduction.mine.rank = rank;
  introduction.mine.pid = 100 + rank;
  introduction.world = size;
  const auto roster = exchange(store, introduction, soon());
  CHECK(roster.ok());
  if (roster.ok()) CHECK(roster.value().ranks.back().pid == 100 + size - 1);
  store.close(soon());
}

void open_and_meet(const JobPlace& place) {
  auto store = OwnStore::open(place);
  CHECK(store.ok());
  if (store.ok()) meet(*store.value(), place.rank, place.size);
}

/// Opens rank 0's store at a free port, which is written into `place`.
std::unique_ptr<OwnStore> open_at_free_port(JobPlace& place) {
  for (;;) {  // another program may take the port in between
    auto listener = listen_tcp("127.0.0.1", 0);
    REQUIRE(listener.ok());
    place.port = local_port(listener.value().get()).value();
    listener.value().reset();
    auto store = OwnStore::open(place);
    if (store.ok()) return std::move(store).value();
    REQUIRE(contains(store.status().message(), "SMDDP_STORE_PORT"));
  }
}

TEST_CASE("own store: ranks of one host meet by job id alone") {
  const std::string job = unique_name() + std::string(300, '/');
  run_threads(4, [&](int rank) { open_and_meet(place_of(rank, 4, job)); });
}

TEST_CASE("own store: with an address the ranks meet there") {
  for (const std::string host : {"127.0.0.1", "localhost"}) {
    JobPlace place = place_of(0, 3, "");
    place.local_size = 1;
    place.master_addr = host;
    place.job_secret = "a job secret";
    const auto leader = open_at_free_port(place);
    run_threads(3, [&](int rank) {
      if (rank == 0) return meet(*leader, 0, 3);
      JobPlace mine = place;
      mine.rank = rank;
      open_and_meet(mine);
    });
  }
}

TEST_CASE("own store: two jobs at a time do not meet") {
  const std::string a = unique_name();
  const std::string b = unique_name();
  auto store_a = OwnStore::open(place_of(0, 2, a));
  auto store_b = OwnStore::open(place_of(0, 2, b));
  REQUIRE((store_a.ok() && store_b.ok()));
  REQUIRE(store_a.value()->set("key", "a", soon()).ok());
  REQUIRE(store_b.value()->set("key", "b", soon()).ok());
  auto follower = OwnStore::open(place_of(1, 2, b));
  REQUIRE(follower.ok());
  CHECK(follower.value()->get("key", soon()).value() == "b");
}

TEST_CASE("own store: another secret is refused") {
  const std::string job = unique_name();
  JobPlace leader = place_of(0, 2, job);
  leader.job_secret = "one";
  JobPlace other = place_of(1, 2, job);
  auto store = OwnStore::open(leader);
  auto stray = OwnStore::open(other);
  REQUIRE((store.ok() && stray.ok()));
  CHECK(stray.value()->set("key", "value", soon()).code() == StatusCode::kConfig);
}

TEST_CASE("own store: a world of one needs no socket") {
  auto store = OwnStore::open(place_of(0, 1, ""));
  REQUIRE(store.ok());
  REQUIRE(store.value()->set("key", "value", past()).ok());
  CHECK(store.value()->get("key", past()).value() == "value");
  CHECK(store.value()->add("count", 4, past()).value() == 4);
}

TEST_CASE("own store: when the ranks cannot meet the error says what to set") {
  JobPlace several_hosts = place_of(0, 4, "job");
  several_hosts.local_size = 2;
  for (const JobPlace& place : {several_hosts, place_of(0, 2, "")}) {
    const auto store = OwnStore::open(place);
    CHECK(store.status().code() == StatusCode::kConfig);
    CHECK(contains(store.status().message(), "MASTER_ADDR"));
    CHECK(contains(store.status().message(), "smddprun"));
  }
  CHECK(OwnStore::open(place_of(2, 2, "job")).status().code() == StatusCode::kInvalidArgument);
}

TEST_CASE("own store: a taken port says which variable chooses it") {
  auto listener = listen_tcp("127.0.0.1", 0);
  REQUIRE(listener.ok());
  JobPlace place = place_of(0, 2, "job");
  place.master_addr = "127.0.0.1";
  place.port = local_port(listener.value().get()).value();
  const auto store = OwnStore::open(place);
  CHECK(store.status().code() == StatusCode::kConfig);
  CHECK(contains(store.status().message(), "SMDDP_STORE_PORT"));
}

TEST_CASE("own store: the secret is the job's, else follows from the job id") {
  JobPlace a = place_of(0, 2, "job a");
  const JobPlace b = place_of(1, 2, "job b");
  CHECK(job_secret_of(a).size() == 32);
  CHECK(job_secret_of(a) == job_secret_of(place_of(1, 2, "job a")));
  CHECK(job_secret_of(a) != job_secret_of(b));
  a.job_secret = "given";
  CHECK(job_secret_of(a) == "given");
}

}  // namespace
}  // namespace smddp::test
