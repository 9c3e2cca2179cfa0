// Ranks that run different numbers of collectives, and join.
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

#include "support/fabric.h"

namespace smddp::test {
namespace {

constexpr int kRanks = 4;
constexpr std::chrono::seconds kGrace{10};
constexpr std::size_t kCount = 2500;  // several chunks

void require(bool condition, const std::string& what) {
  if (!condition) throw std::runtime_error(what);
}

/// The ranks still at it in a step, and what comes of the numbers that they bring.
struct StepOracle {
  std::vector<int> steps;  ///< of each rank
  int step = 0;

  bool takes_part(Rank rank) const { return step < steps[static_cast<std::size_t>(rank)]; }
  double brought(Rank rank, int tensor) const { return (rank + 1) * 10 + tensor + step; }
  double reduced(ReduceOp op, int tensor) const {
    double sum = 0;
    double least = 1e9;
    double most = -1e9;
    for (Rank rank = 0; rank < kRanks; ++rank) {
      if (!takes_part(rank)) continue;
      sum += brought(rank, tensor);
      least = std::min(least, brought(rank, tensor));
      most = std::max(most, brought(rank, tensor));
    }
    if (op == ReduceOp::kMin) return least;
    if (op == ReduceOp::kMax) return most;
    return op == ReduceOp::kAverage ? sum / kRanks : sum;
  }
};

/// One reduction of one step, in float64.
struct Reduction {
  Reduction(const StepOracle& oracle, Rank rank, ReduceOp reduce_op, int number)
      : values(kCount, oracle.brought(rank, number)), op(reduce_op), tensor(number) {}

  void submit(KeyedCommunicator& group) {
    Request request;
    request.collective = Collective::kAllReduce;
    request.dtype = DType::kFloat64;
    request.op = op;
    request.in = request.out = values.data();
    request.count = values.size();
    request.on_complete = [this](const Status& status) { ended.set_value(status); };
    group.submit("tensor " + std::to_string(tensor), std::move(request));
  }
  void check(const StepOracle& oracle) {
    const Status outcome = ended.get_future().get();
    require(outcome.ok(), outcome.message());
    const double expected = oracle.reduced(op, tensor);
    const bool right =
        std::all_of(values.begin(), values.end(), [&](double value) { return value == expected; });
    require(right, "step " + std::to_string(oracle.step) + ", tensor " + std::to_string(tensor) +
                       ": got " + std::to_string(values.front()) + " instead of " +
                       std::to_string(expected));
  }

  std::vector<double> values;
  ReduceOp op;
  int tensor;
  std::promise<Status> ended;
};

/// The steps of this rank, each with its reductions in an order of its own.
void train(KeyedCommunicator& group, const std::vector<int>& steps) {
  std::mt19937 random{static_cast<unsigned>(group.rank())};
  StepOracle oracle{steps};
  for (; oracle.takes_part(group.rank()); ++oracle.step) {
    std::vector<std::unique_ptr<Reduction>> reductions;
    int tensor = 0;
    for (const ReduceOp op :
         {ReduceOp::kSum, ReduceOp::kAverage, ReduceOp::kMin, ReduceOp::kMax, ReduceOp::kSum})
      reductions.push_back(std::make_unique<Reduction>(oracle, group.rank(), op, tensor++));
    std::shuffle(reductions.begin(), reductions.end(), random);
    for (const auto& reduction : reductions) reduction->submit(group);
    for (const auto& reduction : reductions) reduction->check(oracle);
  }
}

Rank joined(KeyedCommunicator& group) {
  std::future<Result<Rank>> future = group.join();
  require(future.wait_for(std::chrono::seconds{20}) == std::future_status::ready, "join hangs");
  Result<Rank> last = future.get();
  require(last.ok(), last.status().message());
  return last.value();
}

Status outcome_of(KeyedCommunicator& group, const std::string& key, Request request) {
  auto ended = std::make_shared<std::promise<Status>>();
  request.on_complete = [ended](const Status& status) { ended->set_value(status); };
  group.submit(key, std::move(request));
  return ended->get_future().get();
}

void for_each_fabric(const std::function<void(const World&)>& body) {
  for (const Fabric& fabric : fabrics()) {
    CAPTURE(fabric.name);
    body(World{fabric, kRanks});
  }
}

TEST_CASE("join: ranks with different numbers of steps, in any order, time and again") {
  struct Epoch {
    std::vector<int> steps;
    Rank last;
  };
  const std::vector<Epoch> epochs{{{3, 3, 3, 3}, 0}, {{1, 2, 3, 4}, 3}, {{5, 3, 2, 0}, 0},
                                  {{0, 4, 4, 1}, 1}, {{0, 0, 0, 0}, 0}, {{2, 0, 7, 7}, 2}};
  for_each_fabric([&](const World& world) {
    world.run([&](Rank rank) {
      const auto group = world.join_keyed(rank);
      for (const Epoch& epoch : epochs) {
        train(*group, epoch.steps);
        const Rank last = joined(*group);
        require(last == epoch.last, "the last one was said to be rank " + std::to_string(last));
      }
      group->leave(kGrace);
    });
  });
}

TEST_CASE("join: who has joined takes part in barriers, and in broadcasts of the others") {
  for_each_fabric([](const World& world) {
    world.run([&](Rank rank) {
      const auto group = world.join_keyed(rank);
      if (rank == 1 || rank == 2) {
        require(outcome_of(*group, "met", Request{}).ok(), "the barrier failed");
        std::vector<std::int64_t> shown(kCount, rank);
        Request request;
        request.collective = Collective::kBroadcast;
        request.dtype = DType::kInt64;
        request.root = 2;
        request.out = shown.data();
        request.count = shown.size();
        require(outcome_of(*group, "shown", std::move(request)).ok(), "the broadcast failed");
        require(shown == std::vector<std::int64_t>(kCount, 2), "the values are not rank 2's");
      }
      require(joined(*group) == 1, "ranks 1 and 2 ran the most");
      group->leave(kGrace);
    });
  });
}

TEST_CASE("join: a collective that needs the others' data fails on every rank, with its name") {
  for_each_fabric([](const World& world) {
    world.run([&](Rank rank) {
      const auto group = world.join_keyed(rank);
      Status outcome;
      if (rank == 3) {
        outcome = group->join().get().status();
      } else {
        const std::byte own{7};
        std::vector<std::byte> gathered(kRanks);
        Request request;
        request.collective = Collective::kAllGather;
        request.in = &own;
        request.out = gathered.data();
        request.count = 1;
        outcome = outcome_of(*group, "rows", std::move(request));
      }
      require(outcome.code() == StatusCode::kState, outcome.message());
      for (const char* part : {"rank 3 (", "has joined", "rank 0 runs all_gather 'rows'"})
        require(outcome.message().find(part) != std::string::npos, outcome.message());
      group->leave(std::chrono::seconds{0});
    });
  });
}

TEST_CASE("join: who neither joins nor comes is named, not the rank that has joined") {
  for_each_fabric([](const World& world) {
    std::atomic<int> told{0};
    world.run([&](Rank rank) {
      const auto group = world.join_keyed(rank);
      train(*group, {1, 1, 1, 1});
      Status outcome;
      if (rank == 2) {
        std::vector<double> values(kCount, rank);
        Request request;
        request.collective = Collective::kAllReduce;
        request.dtype = DType::kFloat64;
        request.in = request.out = values.data();
        request.count = values.size();
        request.timeout = std::chrono::milliseconds{1500};
        outcome = outcome_of(*group, "late", std::move(request));
      } else if (rank != 1) {
        outcome = group->join().get().status();
      }
      if (rank != 1) {
        told.fetch_add(1);
        require(outcome.code() == StatusCode::kTimeout, outcome.message());
        for (const char* part : {"'late' timed out", "rank 1 (", "nor joined"})
          require(outcome.message().find(part) != std::string::npos, outcome.message());
        require(outcome.message().find("has not come to it") == std::string::npos,
                outcome.message());
      } else {
        // It is there, and does nothing, until the others have given up.
        while (told.load() < kRanks - 1) std::this_thread::yield();
      }
      group->leave(std::chrono::seconds{0});
    });
  });
}

TEST_CASE("join: who leaves without having joined is named") {
  for_each_fabric([](const World& world) {
    world.run([&](Rank rank) {
      const auto group = world.join_keyed(rank);
      train(*group, {1, 1, 1, 1});
      if (rank != 2) {
        const Status outcome = group->join().get().status();
        require(outcome.code() == StatusCode::kPeerLost, outcome.message());
        require(outcome.message().find("rank 2 (") != std::string::npos, outcome.message());
      }
      group->leave(std::chrono::seconds{0});
    });
  });
}

TEST_CASE("join: two at a time are refused, and alone it returns at once") {
  const World alone{fabrics().front(), 1};
  alone.run([&](Rank rank) { require(joined(*alone.join_keyed(rank)) == 0, "alone"); });
  const World world{fabrics().front(), kRanks};
  world.run([&](Rank rank) {
    const auto group = world.join_keyed(rank);
    std::future<Result<Rank>> first;
    if (rank == 0) {
      first = group->join();
      const Status refused = group->join().get().status();
      require(refused.code() == StatusCode::kState, refused.message());
    }
    require((rank == 0 ? first : first = group->join()).get().ok(), "the first one failed");
    group->leave(kGrace);
  });
}

}  // namespace
}  // namespace smddp::test
