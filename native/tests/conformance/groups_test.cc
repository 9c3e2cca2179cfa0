// Several communicators in one process: used in any order and from any thread, left while others
// go on.
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "conformance/case.h"
#include "support/fabric.h"

namespace smddp::test {
namespace {

constexpr int kRanks = 4;
constexpr std::chrono::seconds kGrace{10};

using Groups = std::vector<std::unique_ptr<Communicator>>;

Groups join_all(const World& world, Rank rank, int count) {
  Groups groups;
  for (int i = 0; i < count; ++i) groups.push_back(world.join(rank, "group " + std::to_string(i)));
  return groups;
}

Case sum_of(std::size_t count, bool synchronous) {
  return Case{.dtype = DType::kInt32, .count = count, .synchronous = synchronous};
}

/// Calls that were submitted and not yet waited for.
class Pending {
 public:
  void submit(Communicator& communicator, const Case& what) {
    calls_.push_back(std::make_unique<Call>(what, communicator.rank(), communicator.world()));
    works_.push_back(communicator.submit(calls_.back()->request()));
  }
  void finish_all() {
    for (const Work& work : works_) finish(work);
    for (const auto& call : calls_) call->check();
  }

 private:
  std::vector<std::unique_ptr<Call>> calls_;
  std::vector<Work> works_;
};

void for_each_fabric(const std::function<void(const World&)>& body) {
  for (const Fabric& fabric : fabrics()) {
    CAPTURE(fabric.name);
    body(World{fabric, kRanks});
  }
}

TEST_CASE("ranks may use two groups in opposite order") {
  for_each_fabric([](const World& world) {
    world.run([&](Rank rank) {
      const Groups groups = join_all(world, rank, 2);
      for (int round = 0; round < 10; ++round) {
        Pending pending;
        for (const std::size_t turn : {0, 1}) {
          const std::size_t group = (turn + static_cast<std::size_t>(rank)) % 2;
          for (int i = 0; i < 4; ++i) pending.submit(*groups[group], sum_of(3000, false));
        }
        pending.finish_all();
      }
    });
  });
}

TEST_CASE("threads of a rank may each use a group of their own") {
  for_each_fabric([](const World& world) {
    world.run([&](Rank rank) {
      const Groups groups = join_all(world, rank, 4);
      std::exception_ptr failure;
      std::mutex mutex;
      std::vector<std::thread> threads;
      for (const auto& group : groups) {
        threads.emplace_back([&] {
          try {
            for (int i = 0; i < 25; ++i) {
              Pending pending;
              pending.submit(*group, sum_of(i % 3 == 0 ? 5000 : 10, i % 2 == 0));
              pending.finish_all();
            }
          } catch (...) {
            const std::lock_guard lock{mutex};
            failure = std::current_exception();
          }
        });
      }
      for (std::thread& thread : threads) thread.join();
      if (failure) std::rethrow_exception(failure);
    });
  });
}

TEST_CASE("a synchronous operation says that it will wait, before it does") {
  constexpr int kRounds = 20;
  for_each_fabric([](const World& world) {
    std::array<std::atomic<bool>, kRounds> late{};
    std::atomic<int> told{0};
    world.run([&](Rank rank) {
      const auto group = world.join(rank);
      finish(group->connect());
      for (std::atomic<bool>& others_may_come : late) {
        Request barrier{.collective = Collective::kBarrier, .synchronous = true};
        if (rank != 0) {
          const Deadline deadline = Deadline::after(std::chrono::seconds{20});
          while (!others_may_come && !deadline.passed()) std::this_thread::yield();
          finish(group->submit(barrier));
          continue;
        }
        int calls = 0;
        barrier.before_waiting = [&calls] { ++calls; };
        const Work work = group->submit(barrier);  // nobody else is there
        others_may_come = true;
        finish(work);
        if (calls > 1) throw std::runtime_error("told more than once");
        told += calls;
      }
    });
    // An operation that the engine thread has to run, because it still holds the baton, tells
    // nobody.
    CHECK(told > 0);
  });
}

TEST_CASE("threads of a rank may share a group") {
  // Equal operations, because nothing orders the calls of different threads.
  for_each_fabric([](const World& world) {
    world.run([&](Rank rank) {
      const auto group = world.join(rank);
      std::vector<std::thread> threads;
      std::atomic<int> failures{0};
      for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
          for (int turn = 0; turn < 20; ++turn) {
            Call call{sum_of(700, turn % 2 == 0), rank, kRanks};
            if (!outcome_of(*group, call.request()).ok()) ++failures;
          }
        });
      }
      for (std::thread& thread : threads) thread.join();
      if (failures != 0) throw std::runtime_error("operations failed");
    });
  });
}

TEST_CASE("a group may be left while others are in use") {
  for_each_fabric([](const World& world) {
    world.run([&](Rank rank) {
      const auto lasting = world.join(rank);
      for (int i = 0; i < 5; ++i) {
        Pending pending;
        pending.submit(*lasting, sum_of(4000, false));
        {
          const auto passing = world.join(rank, "passing " + std::to_string(i));
          Pending inside;
          inside.submit(*passing, sum_of(4000, true));
          inside.finish_all();
          pending.submit(*lasting, sum_of(17, false));
        }
        pending.finish_all();
      }
    });
  });
}

TEST_CASE("a rank that leaves has finished what it submitted") {
  for_each_fabric([](const World& world) {
    world.run([&](Rank rank) {
      for (const bool connected : {true, false}) {
        const auto group = world.join(rank, connected ? "connected" : "new");
        if (connected) finish(group->connect());
        Pending pending;
        for (int i = 0; i < 5; ++i) pending.submit(*group, sum_of(6000, false));
        group->leave(kGrace);
        pending.finish_all();
      }
    });
  });
}

TEST_CASE("an operation that needs a rank which left names it") {
  for_each_fabric([](const World& world) {
    world.run([&](Rank rank) {
      const auto group = world.join(rank);
      Pending pending;
      pending.submit(*group, sum_of(100, true));
      pending.finish_all();
      if (rank == 2) return group->leave(kGrace);
      Call call{sum_of(100, true), rank, kRanks};
      const Status outcome = outcome_of(*group, call.request());
      if (outcome.code() != StatusCode::kPeerLost ||
          outcome.message().find("rank 2") == std::string::npos) {
        throw std::runtime_error("not named: " + outcome.message());
      }
      const Status again = outcome_of(*group, call.request());
      if (again.message() != outcome.message())
        throw std::runtime_error("not terminal: " + again.message());
    });
  });
}

TEST_CASE("groups that nobody uses cost nothing and end quietly") {
  for_each_fabric([](const World& world) {
    world.run([&](Rank rank) {
      const Groups unused = join_all(world, rank, 20);
      Pending pending;
      const auto used = world.join(rank);
      pending.submit(*used, sum_of(10, true));
      pending.finish_all();
      if (unused[0]->transport() != "unconnected") throw std::runtime_error("it connected");
    });
  });
}

/// Counts how often it is called, and lets the test wait for the last time.
class Countdown {
 public:
  explicit Countdown(int expected) : left_(expected) {}
  void count() {
    const std::lock_guard lock{mutex_};
    --left_;
    changed_.notify_all();
  }
  bool finished() {
    std::unique_lock lock{mutex_};
    return changed_.wait_for(lock, std::chrono::seconds{20}, [&] { return left_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int left_;
};

TEST_CASE("each operation calls back once and then drops what it kept alive") {
  for_each_fabric([](const World& world) {
    world.run([&](Rank rank) {
      constexpr int kOperations = 30;
      const auto group = world.join(rank);
      Countdown called{kOperations};
      Countdown dropped{kOperations};
      for (int i = 0; i < kOperations; ++i) {
        auto call = std::make_shared<Call>(sum_of(500, i % 3 == 0), rank, kRanks);
        Request request = call->request();
        request.on_complete = [&called](const Status&) { called.count(); };
        request.keep_alive =
            std::shared_ptr<void>{call.get(), [&dropped, call](void*) { dropped.count(); }};
        group->submit(std::move(request));
      }
      if (!called.finished()) throw std::runtime_error("callbacks are missing");
      if (!dropped.finished()) throw std::runtime_error("buffers are still kept");
    });
  });
}

}  // namespace
}  // namespace smddp::test
