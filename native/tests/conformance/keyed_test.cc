// Collectives that each rank submits in an order of its own.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <random>
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

void for_each_fabric(const std::function<void(const World&)>& body) {
  for (const Fabric& fabric : fabrics()) {
    CAPTURE(fabric.name);
    body(World{fabric, kRanks});
  }
}

/// One rank's collectives under way, and what became of them.
class Submitted {
 public:
  void submit(KeyedCommunicator& group, const std::string& key, const Case& what,
              std::chrono::milliseconds timeout = std::chrono::seconds{20}) {
    calls_.push_back(std::make_unique<Call>(what, group.rank(), group.world()));
    auto ended = std::make_shared<std::promise<Status>>();
    outcomes_.push_back(ended->get_future());
    Request request = calls_.back()->request();
    request.timeout = timeout;
    request.on_complete = [ended](const Status& status) { ended->set_value(status); };
    group.submit(key, std::move(request));
  }

  std::vector<Status> outcomes() {
    std::vector<Status> all;
    for (std::future<Status>& one : outcomes_) all.push_back(one.get());
    outcomes_.clear();
    return all;
  }

  void finish() {
    for (const Status& outcome : outcomes()) throw_unless(outcome.ok(), outcome.message());
    for (const auto& call : calls_) call->check();
    calls_.clear();
  }

  static void throw_unless(bool condition, const std::string& what) {
    if (!condition) throw std::runtime_error(what);
  }

 private:
  std::vector<std::unique_ptr<Call>> calls_;
  std::vector<std::future<Status>> outcomes_;
};

Case sum_of(std::size_t count) { return Case{.dtype = DType::kInt32, .count = count}; }

struct Keyed {
  std::string key;
  Case what;
};

/// Collectives of several kinds and sizes, more than fit into one announcement.
std::vector<Keyed> many() {
  std::vector<Keyed> all;
  for (std::size_t i = 0; i < 24; ++i)
    all.push_back({"gradient of layer " + std::to_string(i) + "/kernel", sum_of(1 + 97 * i)});
  all.push_back({"shown", {.collective = Collective::kBroadcast, .root = 2, .count = 77}});
  all.push_back({"gathered", {.collective = Collective::kAllGather, .counts = {5, 0, 9, 1}}});
  all.push_back({"met", {.collective = Collective::kBarrier}});
  return all;
}

TEST_CASE("keyed: every rank has an order of its own, and may be a use ahead") {
  for_each_fabric([](const World& world) {
    world.run([&](Rank rank) {
      const auto group = world.join_keyed(rank);
      std::vector<Keyed> all = many();
      std::mt19937 random{static_cast<unsigned>(rank)};
      for (int round = 0; round < 5; ++round) {
        Submitted submitted;
        // Twice each, so that uses of one key are told apart.
        for (int use = 0; use < 2; ++use) {
          std::shuffle(all.begin(), all.end(), random);
          for (const Keyed& one : all) submitted.submit(*group, one.key, one.what);
        }
        submitted.finish();
      }
      group->leave(kGrace);
    });
  });
}

TEST_CASE("keyed: many threads of a rank submit at the same time") {
  for_each_fabric([](const World& world) {
    world.run([&](Rank rank) {
      const auto group = world.join_keyed(rank);
      std::vector<std::thread> threads;
      std::vector<std::string> problems(6);
      for (std::size_t thread = 0; thread < problems.size(); ++thread) {
        threads.emplace_back([&, thread] {
          try {
            for (std::size_t i = 0; i < 10; ++i) {
              Submitted submitted;
              submitted.submit(*group, "thread " + std::to_string(thread), sum_of(1 + 31 * thread));
              submitted.finish();
            }
          } catch (const std::exception& problem) {
            problems[thread] = problem.what();
          }
        });
      }
      for (std::thread& thread : threads) thread.join();
      for (const std::string& problem : problems) Submitted::throw_unless(problem.empty(), problem);
      group->leave(kGrace);
    });
  });
}

TEST_CASE("keyed: a callback may submit") {
  for_each_fabric([](const World& world) {
    world.run([&](Rank rank) {
      const auto group = world.join_keyed(rank);
      Call first{sum_of(10), rank, kRanks};
      Call second{sum_of(20), rank, kRanks};
      std::promise<Status> ended;
      Request next = second.request();
      next.on_complete = [&](const Status& status) { ended.set_value(status); };
      Request request = first.request();
      request.on_complete = [&](const Status&) { group->submit("second", std::move(next)); };
      group->submit("first", std::move(request));
      Submitted::throw_unless(ended.get_future().get().ok(), "the second one failed");
      first.check();
      second.check();
      group->leave(kGrace);
    });
  });
}

/// All ranks but `absent` come to "skipped", which rank 0 would run before "common".
void check_absence(const World& world, Rank absent, const std::string& culprit) {
  world.run([&](Rank rank) {
    const auto group = world.join_keyed(rank);
    const std::chrono::milliseconds timeout{1500};
    Submitted submitted;
    submitted.submit(*group, "before", sum_of(5));
    submitted.finish();
    if (rank != absent) submitted.submit(*group, "skipped", sum_of(100), timeout);
    // What comes after it keeps the absent rank in the group.
    submitted.submit(*group, "common", sum_of(50));
    submitted.submit(*group, "skipped later", sum_of(50));
    for (const Status& outcome : submitted.outcomes()) {
      if (outcome.ok()) continue;  // rank 0 was absent: it ran the others first
      const std::string& text = outcome.message();
      Submitted::throw_unless(outcome.code() == StatusCode::kTimeout, text);
      Submitted::throw_unless(text.find(culprit) != std::string::npos, text);
      Submitted::throw_unless(text.find("skipped") != std::string::npos, text);
    }
    Submitted after;
    after.submit(*group, "after", sum_of(5));
    Submitted::throw_unless(!after.outcomes().front().ok(), "the group did not fail");
    group->leave(std::chrono::seconds{0});
  });
}

TEST_CASE("keyed: a rank that skips a collective is named on every rank, with the key") {
  for_each_fabric([](const World& world) { check_absence(world, 2, "rank 2 ("); });
}

TEST_CASE("keyed: so is rank 0") {
  for_each_fabric([](const World& world) { check_absence(world, 0, "rank 0 ("); });
}

TEST_CASE("keyed: ranks that mean different things by a key are both shown") {
  for_each_fabric([](const World& world) {
    world.run([&](Rank rank) {
      const auto group = world.join_keyed(rank);
      Submitted submitted;
      submitted.submit(*group, "kernel", sum_of(rank == 3 ? 11 : 10));
      const Status outcome = submitted.outcomes().front();
      Submitted::throw_unless(outcome.code() == StatusCode::kMismatch, outcome.message());
      Submitted::throw_unless(outcome.message().find("kernel") != std::string::npos,
                              outcome.message());
      group->leave(std::chrono::seconds{0});
    });
  });
}

TEST_CASE("keyed: who leaves while something waits ends it, and is named") {
  for_each_fabric([](const World& world) {
    world.run([&](Rank rank) {
      const auto group = world.join_keyed(rank);
      Submitted first;
      first.submit(*group, "before", sum_of(5));
      first.finish();
      Submitted submitted;
      if (rank != 1) submitted.submit(*group, "without rank 1", sum_of(100));
      if (rank == 1) group->leave(std::chrono::seconds{0});
      for (const Status& outcome : submitted.outcomes()) {
        Submitted::throw_unless(outcome.code() == StatusCode::kPeerLost, outcome.message());
        Submitted::throw_unless(outcome.message().find("rank 1 (") != std::string::npos,
                                outcome.message());
      }
      group->leave(std::chrono::seconds{0});
    });
  });
}

}  // namespace
}  // namespace smddp::test
