#include "engine/completions.h"

#include <atomic>
#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace smddp {
namespace {

using std::chrono::seconds;

Deadline soon_enough() { return Deadline::after(seconds{30}); }

void hand_over(Completions& completions, std::function<void()> callback) {
  Request request;
  request.on_complete = [callback = std::move(callback)](const Status&) { callback(); };
  auto work = std::make_shared<WorkState>(std::move(request), Deadline::never());
  work->finish(Status{});
  completions.hand_over(std::move(work));
}

bool becomes_true(const std::atomic<bool>& flag) {
  const Deadline deadline = soon_enough();
  while (!flag.load() && !deadline.passed()) std::this_thread::yield();
  return flag.load();
}

/// What a callback does that starts an operation and waits for it.
bool start_and_wait(Completions& completions, const std::atomic<bool>& ended) {
  completions.note_start();
  return becomes_true(ended);
}

std::ptrdiff_t threads_of_process() {
  std::thread{[] {}}.join();  // sanitizers start one of their own with the first
  const std::filesystem::directory_iterator threads{"/proc/self/task"};
  return std::distance(begin(threads), end(threads));
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
  completions.drain(soon_enough());
  CHECK(order == expected);
}

TEST_CASE("a callback may wait for one that is handed over later") {
  Completions completions;
  std::atomic<bool> later{false};
  std::atomic<bool> waited{false};
  hand_over(completions, [&] { waited.store(start_and_wait(completions, later)); });
  hand_over(completions, [&] { later.store(true); });
  completions.drain(soon_enough());
  CHECK(waited.load());
}

TEST_CASE("many callbacks may wait, the first for the last") {
  constexpr std::size_t kCount = 64;
  for (int round = 0; round < 3; ++round) {
    Completions completions;
    std::vector<std::atomic<bool>> over(kCount + 1);
    for (std::size_t i = 0; i < kCount; ++i)
      hand_over(completions, [&, i] { over[i].store(start_and_wait(completions, over[i + 1])); });
    hand_over(completions, [&] { over[kCount].store(true); });
    completions.drain(soon_enough());
    CHECK(over[0].load());
  }
}

TEST_CASE("slow callbacks that start nothing keep their order, on one thread and a spare one") {
  const std::ptrdiff_t before = threads_of_process();
  Completions completions;
  std::vector<int> order;  // without a lock: nothing overlaps
  for (int i = 0; i < 10; ++i) {
    hand_over(completions, [&, i] {
      const Deadline end = Deadline::after(std::chrono::milliseconds{10});
      while (!end.passed()) std::this_thread::yield();
      order.push_back(i);
    });
  }
  completions.drain(soon_enough());
  CHECK(order == std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  CHECK(threads_of_process() <= before + 2);
}

TEST_CASE("a callback that waits for what it has not started is overtaken in the end") {
  Completions completions;
  std::atomic<bool> later{false};
  std::atomic<bool> waited{false};
  hand_over(completions, [&] { waited.store(becomes_true(later)); });
  hand_over(completions, [&] { later.store(true); });
  completions.drain(soon_enough());
  CHECK(waited.load());
}

TEST_CASE("callbacks that wait again and again need no more threads than wait at once") {
  const std::ptrdiff_t before = threads_of_process();
  Completions completions;
  for (int round = 0; round < 100; ++round) {
    std::atomic<bool> later{false};
    std::atomic<bool> waited{false};
    hand_over(completions, [&] { waited.store(start_and_wait(completions, later)); });
    hand_over(completions, [&] { later.store(true); });
    completions.drain(soon_enough());
    REQUIRE(waited.load());
  }
  CHECK(threads_of_process() <= before + 3);
}

TEST_CASE("drain waits for a callback that others have overtaken") {
  Completions completions;
  std::atomic<bool> overtaken{false};
  std::atomic<bool> released{false};
  std::atomic<bool> over{false};
  hand_over(completions, [&] {
    start_and_wait(completions, released);
    over.store(true);
  });
  hand_over(completions, [&] { overtaken.store(true); });
  REQUIRE(becomes_true(overtaken));
  completions.drain(Deadline::after(std::chrono::milliseconds{5}));
  CHECK_FALSE(over.load());
  released.store(true);
  completions.drain(soon_enough());
  CHECK(over.load());
}

TEST_CASE("drain returns at once inside a callback, also on a second thread") {
  Completions completions;
  std::atomic<bool> second{false};
  hand_over(completions, [&] {
    completions.drain(soon_enough());
    start_and_wait(completions, second);
  });
  hand_over(completions, [&] {
    completions.drain(soon_enough());
    second.store(true);
  });
  completions.drain(soon_enough());
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
          hand_over(completions,
                    [&, later] { run += start_and_wait(completions, *later) ? 1 : 0; });
        hand_over(completions, [&, later] {
          later->store(true);
          ++run;
        });
      }
    });
  }
  for (std::thread& user : users) user.join();
  completions.drain(soon_enough());
  CHECK(run.load() == 3 * (200 + 4));
}

}  // namespace
}  // namespace smddp
