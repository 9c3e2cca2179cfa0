// Operations that a GPU takes part in: when they run, and what ranks are told of each other.
#include "engine/device_part.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "support/fabric.h"

namespace smddp::test {
namespace {

constexpr int kRanks = 4;
constexpr std::size_t kCount = 1000;

void expect(bool condition, const std::string& what) {
  if (!condition) throw std::runtime_error(what);
}

/// A GPU that does what the test says.
class PretendedPart final : public DevicePart {
 public:
  explicit PretendedPart(bool is_all) : is_all_(is_all) {}

  bool is_all() const noexcept override { return is_all_; }
  Status progress() override {
    ++asked;
    if (failure.code() != StatusCode::kOk) return failure;
    return is_done.load() ? Status{} : Status::again();
  }
  void end(const Status& outcome) noexcept override {
    ended_with = outcome;
    ++ended;
  }

  std::atomic<int> asked{0};
  std::atomic<bool> is_done{false};
  std::atomic<int> ended{0};
  Status failure;  ///< what `progress` says, unless ok
  Status ended_with;

 private:
  const bool is_all_;
};

/// One rank's all_reduce of rank + 1, which its GPU has to be done with first.
struct Sum {
  Sum(Rank rank, bool is_all) : part(std::make_shared<PretendedPart>(is_all)) {
    in.assign(kCount, static_cast<float>(rank + 1));
  }
  Request request(std::size_t count = kCount) {
    return {.collective = Collective::kAllReduce,
            .dtype = DType::kFloat32,
            .in = in.data(),
            .out = out.data(),
            .count = count,
            .device_part = part};
  }

  std::shared_ptr<PretendedPart> part;
  std::vector<float> in;
  std::vector<float> out = std::vector<float>(kCount, -1.0F);
};

void wait_until(const std::function<bool()>& condition, const std::string& what) {
  const Deadline deadline = Deadline::after(std::chrono::seconds{20});
  while (!condition()) {
    expect(!deadline.passed(), "in vain: " + what);
    ::sched_yield();
  }
}

void for_each_fabric(const std::function<void(const World&)>& body) {
  for (const Fabric& fabric : fabrics()) {
    CAPTURE(fabric.name);
    body(World{fabric, kRanks});
  }
}

TEST_CASE("what a GPU brings is carried out when it is there, and in its turn") {
  for_each_fabric([](const World& world) {
    world.run([&](Rank rank) {
      const auto group = world.join(rank);
      Sum first{rank, false};
      Sum second{rank, false};
      second.part->is_done = true;
      const Work first_work = group->submit(first.request());
      const Work second_work = group->submit(second.request());
      wait_until([&] { return first.part->asked > 2; }, "the GPU is asked");
      expect(!first_work.is_completed() && !second_work.is_completed(), "out of turn");
      expect(first.part->ended == 0 && first.out[0] == -1.0F, "before it was there");
      std::fill(first.in.begin(), first.in.end(), 10.0F * static_cast<float>(rank + 1));
      first.part->is_done = true;
      finish(first_work);
      finish(second_work);
      expect(first.out == std::vector<float>(kCount, 100.0F), "first sum");
      expect(second.out == std::vector<float>(kCount, 10.0F), "second sum");
      for (const Sum* sum : {&first, &second})
        expect(sum->part->ended == 1 && sum->part->ended_with.ok(), "not told of the end");
    });
  });
}

TEST_CASE("what a GPU does alone is over when it says so, and its memory is not touched") {
  for_each_fabric([](const World& world) {
    world.run([&](Rank rank) {
      const auto group = world.join(rank);
      Sum sum{rank, true};
      const Work work = group->submit(sum.request());
      wait_until([&] { return sum.part->asked > 2; }, "the GPU is asked");
      expect(!work.is_completed(), "too early");
      sum.part->is_done = true;
      finish(work);
      expect(sum.out == std::vector<float>(kCount, -1.0F), "touched");
      expect(sum.part->ended == 1, "not told of the end");
      Sum after{rank, false};
      after.part->is_done = true;
      finish(group->submit(after.request()));
      expect(after.out == std::vector<float>(kCount, 10.0F), "the next sum");
    });
  });
}

TEST_CASE("ranks whose GPUs do different things learn of both sides") {
  for_each_fabric([](const World& world) {
    world.run([&](Rank rank) {
      const auto group = world.join(rank);
      Sum sum{rank, true};
      const Status outcome =
          outcome_of(group->submit(sum.request(rank == 1 ? kCount / 2 : kCount)));
      expect(outcome.code() == StatusCode::kMismatch, outcome.message());
      for (const char* side : {"1000 elements", "500 elements"})
        expect(outcome.message().find(side) != std::string::npos, outcome.message());
      expect(sum.part->ended == 1 && sum.part->ended_with.code() == StatusCode::kMismatch,
             "not told of the end");
    });
  });
}

TEST_CASE("a rank that does not come is named at the deadline") {
  for_each_fabric([](const World& world) {
    std::atomic<int> told{0};
    world.run([&](Rank rank) {
      const auto group = world.join(rank);
      finish(group->connect());
      if (rank == 2) {
        wait_until([&] { return told == kRanks - 1; }, "the others are told");
        return;
      }
      Sum sum{rank, true};
      Request request = sum.request();
      request.timeout = std::chrono::milliseconds{700};
      const Status outcome = outcome_of(group->submit(std::move(request)));
      ++told;
      expect(outcome.code() == StatusCode::kTimeout, outcome.message());
      expect(outcome.message().find("missing: rank 2 (") != std::string::npos, outcome.message());
      expect(outcome.message().find("all_reduce #1") != std::string::npos, outcome.message());
    });
  });
}

TEST_CASE("the failure of one GPU ends the operation everywhere, and names its rank") {
  for_each_fabric([](const World& world) {
    world.run([&](Rank rank) {
      const auto group = world.join(rank);
      Sum sum{rank, true};
      if (rank == 3) sum.part->failure = Status{StatusCode::kSystem, "the GPU has melted"};
      const Status outcome = outcome_of(group->submit(sum.request()));
      expect(outcome.code() == StatusCode::kSystem, outcome.message());
      expect(outcome.message().find("the GPU has melted") != std::string::npos, outcome.message());
      expect(outcome.message().find("rank 3 (") != std::string::npos, outcome.message());
      expect(sum.part->ended == 1, "not told of the end");
    });
  });
}

TEST_CASE("leaving ends what a GPU still has to do") {
  for_each_fabric([](const World& world) {
    world.run([&](Rank rank) {
      const auto group = world.join(rank);
      finish(group->connect());
      Sum pending{rank, true};
      Sum queued{rank, false};
      const Work first = group->submit(pending.request());
      const Work second = group->submit(queued.request());
      group->leave(std::chrono::milliseconds{0});
      const Work late = group->submit(Sum{rank, true}.request());
      for (const Work& work : {first, second, late}) expect(work.is_completed(), "no end");
      expect(pending.part->ended == 1 && queued.part->ended == 1, "not told of the end");
      expect(!pending.part->ended_with.ok(), "ended well");
    });
  });
}

}  // namespace
}  // namespace smddp::test
