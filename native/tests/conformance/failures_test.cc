// What ranks are told when one of them leaves, is late, or means something else.
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
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

void for_each_fabric(const std::function<void(const World&)>& body) {
  for (const Fabric& fabric : fabrics()) {
    CAPTURE(fabric.name);
    body(World{fabric, kRanks});
  }
}

void expect(bool condition, const std::string& what) {
  if (!condition) throw std::runtime_error(what);
}

bool names(const Status& outcome, Rank rank) {
  return outcome.message().find("rank " + std::to_string(rank) + " (", 1) != std::string::npos;
}

void wait_for(const std::atomic<bool>& flag) {
  const Deadline deadline = Deadline::after(std::chrono::seconds{20});
  while (!flag.load() && !deadline.passed()) std::this_thread::yield();
}

TEST_CASE("threads that share a group all hear of its failure") {
  // One of them may be on its way into the group at the moment when it fails.
  for_each_fabric([](const World& world) {
    for (int round = 0; round < 10; ++round) {
      world.run([&](Rank rank) {
        const auto group = world.join(rank, "round " + std::to_string(round));
        finish(group->connect());
        if (rank != 0) {
          for (int i = 0; i < 20; ++i) {
            if (!group->submit({.synchronous = true}).wait(Deadline::never()).ok()) return;
          }
          return;  // leaves: the others' next operation fails
        }
        std::vector<std::thread> threads;
        std::atomic<int> told{0};
        for (int i = 0; i < 2; ++i) {
          threads.emplace_back([&] {
            const Deadline deadline = Deadline::after(std::chrono::seconds{20});
            while (group->submit({.synchronous = true}).wait(deadline).ok()) {
            }
            if (!deadline.passed()) ++told;
          });
        }
        for (std::thread& thread : threads) thread.join();
        expect(told == 2, "a thread was not told");
      });
    }
  });
}

TEST_CASE("leaving without grace ends all that is pending, and the others learn who left") {
  for_each_fabric([](const World& world) {
    std::atomic<bool> has_left{false};
    std::atomic<int> called{0};
    constexpr int kPending = 5;
    world.run([&](Rank rank) {
      const auto group = world.join(rank);
      finish(group->connect());
      std::vector<float> data(100, 2.5F + static_cast<float>(rank));
      Request sum{.collective = Collective::kAllReduce,
                  .dtype = DType::kFloat32,
                  .in = data.data(),
                  .out = data.data(),
                  .count = data.size()};
      if (rank == 2) {
        sum.on_complete = [&](const Status&) { ++called; };
        std::vector<Work> works;
        for (int i = 0; i < kPending; ++i) works.push_back(group->submit(sum));
        group->leave(std::chrono::milliseconds{0});
        has_left = true;
        for (const Work& work : works) {
          expect(work.is_completed(), "an operation has no end");
          expect(work.status().code() == StatusCode::kAborted, work.status().message());
        }
        return;
      }
      wait_for(has_left);
      const Status outcome = outcome_of(*group, sum);
      expect(outcome.code() == StatusCode::kPeerLost, outcome.message());
      expect(names(outcome, 2), outcome.message());
      expect(outcome.message().find("left") != std::string::npos, outcome.message());
    });
    CHECK(called == kPending);
  });
}

TEST_CASE("the others learn why a rank has left, from collectives and from messages") {
  for_each_fabric([](const World& world) {
    world.run([&](Rank rank) {
      const auto collectives = world.join(rank, "collectives");
      const auto messages = world.join(rank, "messages");
      finish(collectives->connect());
      finish(messages->connect());
      if (rank == 2) {
        collectives->leave(std::chrono::milliseconds{0}, "ValueError: bad batch");
        messages->leave(std::chrono::milliseconds{0}, "KeyError: 'labels'");
        return;
      }
      const Status barrier = outcome_of(*collectives, {.collective = Collective::kBarrier});
      expect(barrier.code() == StatusCode::kPeerLost, barrier.message());
      expect(names(barrier, 2), barrier.message());
      expect(barrier.message().ends_with(" operations: ValueError: bad batch"), barrier.message());
      float value = 0;
      const Status received = outcome_of(*messages, {.message = MessageSide::kRecv,
                                                     .dtype = DType::kFloat32,
                                                     .peer = 2,
                                                     .out = &value,
                                                     .count = 1});
      expect(received.code() == StatusCode::kPeerLost, received.message());
      expect(received.message().ends_with("has left the group: KeyError: 'labels'"),
             received.message());
    });
  });
}

TEST_CASE("ranks whose algorithms exchange messages with different ranks show both sides at once") {
  // Rank 3 asks for a broadcast, or for a sum by another algorithm than the others expect.
  for (const std::string choice : {"doubling", "ring", "tree", "halving", "one_step", "mesh"}) {
    CAPTURE(choice);
    const World world{{"tcp", "tcp", false, "broadcast=tree,all_reduce=" + choice, "any"}, 4};
    world.run([&](Rank rank) {
      const auto group = world.join(rank);
      std::vector<float> data(100, 2.5F + static_cast<float>(rank));
      const bool differs = rank == 3;
      Request request{.collective = differs ? Collective::kBroadcast : Collective::kAllReduce,
                      .dtype = DType::kFloat32,
                      .in = data.data(),
                      .out = data.data(),
                      .count = data.size()};
      const Deadline soon = Deadline::after(std::chrono::seconds{10});
      Status outcome = outcome_of(*group, request);
      // Who needed nobody that differs hears of it in the next operation.
      if (outcome.ok()) outcome = outcome_of(*group, request);
      expect(outcome.code() == StatusCode::kMismatch, outcome.message());
      expect(outcome.message().find("broadcast") != std::string::npos, outcome.message());
      expect(outcome.message().find("all_reduce") != std::string::npos, outcome.message());
      expect(!soon.passed(), "it was noticed late");
    });
  }
}

TEST_CASE("who leaves without a first operation has called nothing else than the others") {
  constexpr std::chrono::milliseconds kLongerThanUntilAnnounced{500};
  for_each_fabric([&](const World& world) {
    std::atomic<bool> others_wait{false};
    world.run([&](Rank rank) {
      const auto group = world.join(rank);
      finish(group->connect());
      if (rank == 1) {
        wait_for(others_wait);
        return group->leave(std::chrono::seconds{2});
      }
      float sum = 1.5F + static_cast<float>(rank);
      const Work work = group->submit({.collective = Collective::kAllReduce,
                                       .dtype = DType::kFloat32,
                                       .in = &sum,
                                       .out = &sum,
                                       .count = 1});
      static_cast<void>(work.wait(Deadline::after(kLongerThanUntilAnnounced)));
      if (rank == 0) others_wait = true;
      const Status outcome = outcome_of(work);
      expect(outcome.code() == StatusCode::kPeerLost, outcome.message());
      expect(names(outcome, 1), outcome.message());
    });
  });
}

TEST_CASE("all_to_all with counts that do not fit together is an error, never wrong data") {
  for_each_fabric([](const World& world) {
    world.run([&](Rank rank) {
      const auto group = world.join(rank);
      std::vector<std::size_t> sends(kRanks, 3);
      std::vector<std::size_t> receives(kRanks, 3);
      if (rank == 1) receives[0] = 4;  // but rank 0 sends it 3
      std::vector<std::int32_t> in(12, rank);
      std::vector<std::int32_t> out(13, -1);
      const Status outcome = outcome_of(*group, {.collective = Collective::kAllToAll,
                                                 .dtype = DType::kInt32,
                                                 .in = in.data(),
                                                 .out = out.data(),
                                                 .counts = receives,
                                                 .send_counts = sends});
      // Who has all that it needs may be done before rank 1 has told the others.
      if (outcome.ok()) return expect(rank != 1, "no error");
      expect(outcome.code() == StatusCode::kMismatch, outcome.message());
      expect(outcome.message().find("how many elements") != std::string::npos, outcome.message());
    });
  });
}

TEST_CASE("a deadline names who is late, and nobody who is done") {
  for_each_fabric([](const World& world) {
    std::atomic<int> ended{0};
    world.run([&](Rank rank) {
      const auto group = world.join(rank);
      finish(group->connect());
      if (rank == 3) {
        const Deadline patience = Deadline::after(std::chrono::seconds{20});
        while (ended < 3 && !patience.passed()) std::this_thread::yield();
        return;
      }
      std::vector<float> data(1000, static_cast<float>(rank));
      const Status outcome = outcome_of(*group, {.collective = Collective::kBroadcast,
                                                 .dtype = DType::kFloat32,
                                                 .root = 0,
                                                 .in = data.data(),
                                                 .out = data.data(),
                                                 .count = data.size(),
                                                 .timeout = std::chrono::milliseconds{1500}});
      ++ended;
      if (outcome.ok()) return;
      expect(outcome.code() == StatusCode::kTimeout, outcome.message());
      const std::string culprits = outcome.message().substr(outcome.message().find("timed out"));
      expect(culprits.find("rank 3 (") != std::string::npos, outcome.message());
      for (Rank other = 0; other < 3; ++other) {
        expect(culprits.find("rank " + std::to_string(other) + " (") == std::string::npos,
               outcome.message());
      }
    });
  });
}

}  // namespace
}  // namespace smddp::test
