// What every Store of ours promises.

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <set>
#include <string>

#include "bootstrap/memory_store.h"
#include "bootstrap/own_store.h"
#include "bootstrap/prefix_store.h"
#include "bootstrap/store_support.h"

namespace smddp::test {
namespace {

/// One store as several ranks see it: each rank may have a Store object of its own.
struct Ranks {
  std::shared_ptr<void> keep_alive;
  std::function<std::shared_ptr<Store>(int rank)> store_of;
};

Ranks memory_ranks() {
  auto store = std::make_shared<MemoryStore>();
  return {store, [store](int) { return store; }};
}

Ranks abstract_ranks() {
  auto served = std::make_shared<ServedStore>();
  return {served, [served](int) -> std::shared_ptr<Store> { return served->abstract_client(); }};
}

Ranks tcp_ranks() {
  auto served = std::make_shared<ServedStore>();
  return {served, [served](int) -> std::shared_ptr<Store> { return served->tcp_client(); }};
}

Ranks one_client_for_all() {
  auto served = std::make_shared<ServedStore>();
  std::shared_ptr<Store> client = served->abstract_client();
  return {served, [client](int) { return client; }};
}

Ranks prefixed_ranks() {
  auto store = std::make_shared<MemoryStore>();
  return {store, [store](int) { return std::make_shared<PrefixStore>(store, "group"); }};
}

void for_each_kind(const std::function<void(const Ranks&)>& body) {
  const std::pair<const char*, Ranks (*)()> kinds[] = {{"memory", memory_ranks},
                                                       {"abstract", abstract_ranks},
                                                       {"tcp", tcp_ranks},
                                                       {"one client", one_client_for_all},
                                                       {"prefix", prefixed_ranks}};
  for (const auto& [name, make] : kinds) {
    CAPTURE(name);
    body(make());
  }
}

std::string big_value(std::size_t bytes, int seed) {
  std::string value(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i)
    value[i] = static_cast<char>(i * 31 + i / 257 + static_cast<unsigned>(seed));
  return value;
}

TEST_CASE("store: values are bytes of any content and size up to the limit, and can be replaced") {
  for_each_kind([](const Ranks& ranks) {
    const auto writer = ranks.store_of(0);
    const auto reader = ranks.store_of(1);
    const std::string binary("a\0\xff\n", 4);
    for (const std::string& value :
         {std::string(), std::string("text"), binary, big_value(kMaxValueBytes, 5)}) {
      REQUIRE(writer->set("key", value, soon()).ok());
      const auto got = reader->get("key", soon());
      REQUIRE(got.ok());
      CHECK((got.value() == value));
    }
    REQUIRE(writer->set(binary, "by a binary key", soon()).ok());
    CHECK(reader->get(binary, soon()).value() == "by a binary key");
  });
}

TEST_CASE("store: keys and values beyond the limits are refused and harm nothing") {
  for_each_kind([](const Ranks& ranks) {
    const auto store = ranks.store_of(0);
    const std::string long_key(kMaxKeyBytes + 1, 'k');
    CHECK(store->set(long_key, "v", soon()).code() == StatusCode::kInvalidArgument);
    CHECK(store->get(long_key, soon()).status().code() == StatusCode::kInvalidArgument);
    CHECK(store->add(long_key, 1, soon()).status().code() == StatusCode::kInvalidArgument);
    CHECK(store->set("k", std::string(kMaxValueBytes + 1, 'v'), soon()).code() ==
          StatusCode::kInvalidArgument);
    CHECK(store->get("k", past()).status().code() == StatusCode::kTimeout);
  });
}

TEST_CASE("store: get waits for the key, whichever thread sets it") {
  for_each_kind([](const Ranks& ranks) {
    constexpr int kRanks = 8;
    run_threads(kRanks, [&](int rank) {
      const auto store = ranks.store_of(rank);
      const auto key = [](int r) { return "key of " + std::to_string(r); };
      // Rank r waits for rank r + 1 before it sets its own key; only the last one sets at once.
      if (rank + 1 < kRanks) {
        const auto next = store->get(key(rank + 1), soon());
        CHECK(next.ok());
        if (next.ok()) CHECK(next.value() == "value of " + std::to_string(rank + 1));
      }
      CHECK(store->set(key(rank), "value of " + std::to_string(rank), soon()).ok());
      for (int other = 0; other < kRanks; ++other) CHECK(store->get(key(other), soon()).ok());
    });
  });
}

TEST_CASE("store: all who wait for one large value get it") {
  for_each_kind([](const Ranks& ranks) {
    const std::string value = big_value(3 << 20, 11);
    run_threads(8, [&](int rank) {
      const auto store = ranks.store_of(rank);
      if (rank == 0) {
        CHECK(store->set("large", value, soon()).ok());
        return;
      }
      const auto got = store->get("large", soon());
      CHECK(got.ok());
      if (got.ok()) CHECK((got.value() == value));
    });
  });
}

TEST_CASE("store: add is atomic, starts at zero and wakes those who wait") {
  for_each_kind([](const Ranks& ranks) {
    constexpr int kRanks = 8;
    constexpr int kRounds = 50;
    std::mutex mutex;
    std::set<std::int64_t> seen;
    run_threads(kRanks, [&](int rank) {
      const auto store = ranks.store_of(rank);
      if (rank == 0) CHECK(store->get("sum", soon()).ok());
      for (int round = 0; round < kRounds; ++round) {
        const auto sum = store->add("sum", 3, soon());
        CHECK(sum.ok());
        const std::lock_guard lock(mutex);
        if (sum.ok()) CHECK(seen.insert(sum.value()).second);
      }
    });
    const auto store = ranks.store_of(0);
    CHECK(store->add("sum", 0, soon()).value() == 3 * kRanks * kRounds);
    CHECK(store->add("sum", -2000, soon()).value() == 3 * kRanks * kRounds - 2000);
    CHECK(store->get("sum", soon()).value() == std::to_string(3 * kRanks * kRounds - 2000));
  });
}

TEST_CASE(
    "store: add to something that is no integer, or beyond 64 bits, is an error and changes "
    "nothing") {
  for_each_kind([](const Ranks& ranks) {
    const auto store = ranks.store_of(0);
    for (const std::string& text : {std::string("ten"), std::string(""), std::string("10 "),
                                    std::string("99999999999999999999")}) {
      REQUIRE(store->set("key", text, soon()).ok());
      CHECK(store->add("key", 1, soon()).status().code() == StatusCode::kInvalidArgument);
      CHECK(store->get("key", soon()).value() == text);
    }
    const auto largest = std::numeric_limits<std::int64_t>::max();
    CHECK(store->add("big", largest, soon()).value() == largest);
    CHECK(store->add("big", 1, soon()).status().code() == StatusCode::kInvalidArgument);
    CHECK(store->add("big", std::numeric_limits<std::int64_t>::min(), soon()).value() == -1);
  });
}

TEST_CASE("store: a get that times out names the key, and later calls are right") {
  for_each_kind([](const Ranks& ranks) {
    const auto store = ranks.store_of(0);
    for (const Deadline& deadline : {past(), moment(), past()}) {
      const auto absent = store->get("missing key", deadline);
      CHECK(absent.status().code() == StatusCode::kTimeout);
      CHECK(contains(absent.status().message(), "missing key"));
    }
    // The answer to the get that was given up must not be taken for the answer to the next one.
    REQUIRE(ranks.store_of(1)->set("missing key", "late", soon()).ok());
    REQUIRE(store->set("other key", "other", soon()).ok());
    CHECK(store->get("other key", soon()).value() == "other");
    CHECK(store->get("missing key", past()).value() == "late");
  });
}

TEST_CASE("prefix store: prefixes keep equal keys apart, also nested") {
  const auto base = std::make_shared<MemoryStore>();
  const auto a = std::make_shared<PrefixStore>(base, "a");
  const auto b = std::make_shared<PrefixStore>(base, "b");
  const auto ab = std::make_shared<PrefixStore>(a, "b");
  REQUIRE(a->set("key", "in a", soon()).ok());
  REQUIRE(b->set("key", "in b", soon()).ok());
  REQUIRE(ab->set("key", "in a/b", soon()).ok());
  CHECK(a->get("key", past()).value() == "in a");
  CHECK(b->get("key", past()).value() == "in b");
  CHECK(base->get("a/b/key", past()).value() == "in a/b");
  CHECK(a->add("count", 2, soon()).value() == 2);
  CHECK(b->add("count", 5, soon()).value() == 5);
}

}  // namespace
}  // namespace smddp::test
