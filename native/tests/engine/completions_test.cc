#include "engine/completions.h"

#include <atomic>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace smddp {
namespace {

using std::chrono::seconds;

const Deadline kEnough = Deadline::after(seconds{40});

void hand_over(Completions& completions, std::function<void()> callback) {
  Request request;
  request.on_complete = [callback = std::move(callback)](const Status&) { callback(); };
  auto work = std::make_shared<WorkState>(std::move(request), Deadline::never());
  work->finish(Status{});
  completions.hand_over(std::move(work));
}

bool becomes_true(const std::atomic<bool>& flag) {
  while (!flag.load() && !kEnough.passed()) std::this_thread::yield();
  return flag.load();
}

TEST_CASE("callbacks run in the order in which operations were handed over") {
  Completions completions;
  std::mutex mutex;
  std::vector<int> order;
  std::vector<int> expected;
  for (int i = 0; i < 500; ++i) {
    expected.push_back(i);
    hand_over(completions, [&, i] {
      const std::lock_guard lock{mutex};
      order.push_back(i);
    });
  }
  completions.drain(kEnough);
  CHECK(order == expected);
}

TEST_CASE("a callback may wait for one that is handed over later") {
  Completions completions;
  std::atomic<bool> later{false};
  std::atomic<bool> waited{false};
  hand_over(completions, [&] { waited.store(becomes_true(later)); });
  hand_over(completions, [&] { later.store(true); });
  completions.drain(kEnough);
  CHECK(waited.load());
}

TEST_CASE("many callbacks may wait, the first for the last") {
  constexpr std::size_t kCount = 40;
  for (int round = 0; round < 3; ++round) {
    Completions completions;
    std::vector<std::atomic<bool>> over(kCount + 1);
    for (std::size_t i = 0; i < kCount; ++i)
      hand_over(completions, [&, i] { over[i].store(becomes_true(over[i + 1])); });
    hand_over(completions, [&] { over[kCount].store(true); });
    completions.drain(kEnough);
    CHECK(over[0].load());
  }
}

TEST_CASE("callbacks that wait again and again need no more threads than wait at once") {
  Completions completions;
  for (int round = 0; round < 100; ++round) {
    std::atomic<bool> later{false};
    std::atomic<bool> waited{false};
    hand_over(completions, [&] { waited.store(becomes_true(later)); });
    hand_over(completions, [&] { later.store(true); });
    completions.drain(kEnough);
    REQUIRE(waited.load());
  }
}

TEST_CASE("drain waits for a callback that others have overtaken") {
  Completions completions;
  std::atomic<bool> overtaken{false};
  std::atomic<bool> released{false};
  std::atomic<bool> over{false};
  hand_over(completions, [&] {
    becomes_true(released);
    over.store(true);
  });
  hand_over(completions, [&] { overtaken.store(true); });
  REQUIRE(becomes_true(overtaken));
  completions.drain(Deadline::after(std::chrono::milliseconds{5}));
  CHECK_FALSE(over.load());
  released.store(true);
  completions.drain(kEnough);
  CHECK(over.load());
}

TEST_CASE("drain returns at once inside a callback, also on a second thread") {
  Completions completions;
  std::atomic<bool> second{false};
  hand_over(completions, [&] {
    completions.drain(kEnough);
    becomes_true(second);
  });
  hand_over(completions, [&] {
    completions.drain(kEnough);
    second.store(true);
  });
  completions.drain(kEnough);
  CHECK(second.load());
}

TEST_CASE("a callback may hold the last reference") {
  auto completions = std::make_shared<Completions>();
  std::atomic<bool> handed{false};
  std::atomic<bool> over{false};
  Completions& alive = *completions;
  hand_over(alive, [held = std::move(completions), &handed, &over]() mutable {
    becomes_true(handed);  // nobody destroys it under who hands over
    held.reset();
    over.store(true);
  });
  handed.store(true);
  CHECK(becomes_true(over));
}

TEST_CASE("many threads hand over while callbacks wait") {
  Completions completions;
  std::atomic<int> run{0};
  std::vector<std::thread> users;
  for (int user = 0; user < 3; ++user) {
    users.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        auto later = std::make_shared<std::atomic<bool>>(false);
        if (i % 50 == 0)
          hand_over(completions, [&, later] { run += becomes_true(*later) ? 1 : 0; });
        hand_over(completions, [&, later] {
          later->store(true);
          ++run;
        });
      }
    });
  }
  for (std::thread& user : users) user.join();
  completions.drain(kEnough);
  CHECK(run.load() == 3 * (200 + 4));
}

}  // namespace
}  // namespace smddp
