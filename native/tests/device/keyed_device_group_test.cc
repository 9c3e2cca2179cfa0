// Collectives of GPUs that ranks submit in orders of their own, on a driver and an NCCL that are
// pretended.
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "smddp/deadline.h"

#include "device/gpu_world.h"
#include "support/fabric.h"

namespace smddp::test {
namespace {

constexpr int kRanks = 4;
constexpr int kKeys = 12;
constexpr std::size_t kCount = 700;
constexpr std::chrono::seconds kGrace{10};
const Fabric kOneHost{"shm", "auto"};

float brought(Rank rank, int key, std::size_t element) {
  return static_cast<float>(100 * (rank + 1) + 7 * key) + static_cast<float>(element % 13);
}

float sum_of(const std::vector<Rank>& ranks, int key, std::size_t element) {
  float sum = 0;
  for (const Rank rank : ranks) sum += brought(rank, key, element);
  return sum;
}

std::vector<Rank> all_ranks() { return {0, 1, 2, 3}; }

/// Of one collective: after a failure the GPU may be at it for some time.
struct Memory {
  Memory(int gpu, std::vector<float> values)
      : in(gpu, std::move(values)),
        out(gpu, std::vector<float>(kCount)),
        bucket(gpu, std::vector<float>(kCount)) {}

  const TestMemory in;
  const TestMemory out;
  const TestMemory bucket;
};

/// One all_reduce of one rank, of one tensor or of several as one.
class Reduction {
 public:
  Reduction(const KeyedGpuMember& member, int key, bool is_fused)
      : key_(key),
        member_(member),
        stream_(member.gpu),
        memory_(std::make_shared<Memory>(member.gpu, values(member.order->rank(), key))),
        is_fused_(is_fused) {}

  TestStream& stream() { return stream_; }

  /// Lets the stream bring the values, when it comes to that.
  void bring_later() {
    const Memory& memory = *memory_;
    std::copy_n(memory.in.data(), kCount, memory.bucket.data());
    std::fill_n(memory.in.data(), kCount, 0.0F);
    const auto gpu = open_gpu(member_.gpu);
    const Status copied = gpu->copy_on_device(memory.in.data(), memory.bucket.data(),
                                              kCount * sizeof(float), stream_.get());
    expect(copied.ok(), copied.message());
  }

  void submit(std::chrono::milliseconds timeout = {}) {
    DeviceRequest what;
    what.ordinal = member_.gpu;
    what.after = stream_.get();
    what.request = {.collective = Collective::kAllReduce,
                    .dtype = DType::kFloat32,
                    .in = memory_->in.data(),
                    .out = memory_->out.data(),
                    .count = kCount};
    what.request.keep_alive = memory_;
    what.request.timeout = timeout;
    if (is_fused_) fuse(what);
    what.request.on_complete = [this](const Status& outcome) {
      ++times_;
      done_.set_value(outcome);
    };
    member_.group->submit("key " + std::to_string(key_), std::move(what));
  }

  bool is_done() { return waited_.wait_for(std::chrono::seconds{0}) == std::future_status::ready; }

  Status outcome() {
    expect(waited_.wait_for(std::chrono::seconds{60}) == std::future_status::ready, "in vain");
    Status outcome = waited_.get();
    expect(times_ == 1, "told more than once");
    return outcome;
  }

  void check(const std::vector<Rank>& ranks) {
    const Status outcome = this->outcome();
    expect(outcome.ok(), outcome.message());
    for (std::size_t i = 0; i < kCount; ++i)
      expect(memory_->out.data()[i] == sum_of(ranks, key_, i), "element " + std::to_string(i));
  }

 private:
  static std::vector<float> values(Rank rank, int key) {
    std::vector<float> all(kCount);
    for (std::size_t i = 0; i < kCount; ++i) all[i] = brought(rank, key, i);
    return all;
  }

  void fuse(DeviceRequest& what) const {
    constexpr std::size_t kCuts[] = {0, 300, 301, kCount};
    for (int part = 0; part < 3; ++part) {
      const std::size_t begin = kCuts[part];
      const std::size_t bytes = (kCuts[part + 1] - begin) * sizeof(float);
      what.before.push_back({memory_->bucket.data() + begin, memory_->in.data() + begin, bytes});
      what.behind.push_back({memory_->out.data() + begin, memory_->bucket.data() + begin, bytes});
    }
    what.request.in = what.request.out = memory_->bucket.data();
  }

  const int key_;
  const KeyedGpuMember& member_;
  TestStream stream_;
  const std::shared_ptr<Memory> memory_;
  const bool is_fused_;
  std::atomic<int> times_{0};
  std::promise<Status> done_;
  std::future<Status> waited_ = done_.get_future();
};

using Reductions = std::vector<std::unique_ptr<Reduction>>;

Reductions reductions_of(const KeyedGpuMember& member) {
  Reductions all;
  for (int key = 0; key < kKeys; ++key)
    all.push_back(std::make_unique<Reduction>(member, key, key % 2 == 1));
  return all;
}

/// Each rank in an order of its own.
void submit_shuffled(const Reductions& all, unsigned seed) {
  std::vector<Reduction*> order;
  for (const auto& one : all) order.push_back(one.get());
  std::mt19937 random{seed};
  std::shuffle(order.begin(), order.end(), random);
  for (Reduction* one : order) one->submit();
}

void for_each_way(const std::function<void(const World&, const std::string&)>& body) {
  for (const std::string collectives : {"nccl", "ipc", "host"}) {
    CAPTURE(collectives);
    body(World{kOneHost, kRanks}, collectives);
  }
}

/// Of as many elements as there are, from one rank to those that run it.
void check_broadcast(const KeyedGpuMember& member, Rank root) {
  TestMemory memory{member.gpu, std::vector<float>(kCount, 1.0F + member.order->rank())};
  std::promise<Status> done;
  DeviceRequest what;
  what.ordinal = member.gpu;
  what.request = {.collective = Collective::kBroadcast,
                  .dtype = DType::kFloat32,
                  .root = root,
                  .in = memory.data(),
                  .out = memory.data(),
                  .count = kCount};
  what.request.on_complete = [&](const Status& outcome) { done.set_value(outcome); };
  member.group->submit("broadcast", std::move(what));
  const Status outcome = done.get_future().get();
  expect(outcome.ok(), outcome.message());
  expect(memory.values() == std::vector<float>(kCount, 1.0F + root), "not the root's");
}

TEST_CASE("keyed GPUs: ranks submit in orders of their own, one tensor or several as one") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  for_each_way([&](const World& world, const std::string& collectives) {
    world.run([&](Rank rank) {
      const KeyedGpuMember member = join_gpus_keyed(world, rank, collectives);
      const Reductions all = reductions_of(member);
      submit_shuffled(all, seed + static_cast<unsigned>(rank));
      for (const auto& one : all) one->check(all_ranks());
      expect(member.group->transport().starts_with(collectives), member.group->transport());
      member.group->leave(kGrace);
    });
  });
}

TEST_CASE("keyed GPUs: a world of one copies") {
  const World world{kOneHost, 1};
  const KeyedGpuMember member = join_gpus_keyed(world, 0, "auto");
  const Reductions all = reductions_of(member);
  submit_shuffled(all, 0);
  for (const auto& one : all) one->check({0});
}

TEST_CASE("keyed GPUs: what a stream was given before comes first, and nobody waits for it") {
  const World world{kOneHost, kRanks};
  world.run([&](Rank rank) {
    const KeyedGpuMember member = join_gpus_keyed(world, rank, "nccl");
    Reduction before{member, 0, false};
    before.submit();
    before.check(all_ranks());  // so that the ranks have met
    Reduction held{member, 1, false};
    if (rank == 0) held.stream().hold();
    held.bring_later();
    held.submit();
    if (rank == 0) {
      // Time enough to be at it, for one that does not wait.
      std::this_thread::sleep_for(std::chrono::milliseconds{100});
      expect(!held.is_done(), "it did not wait for its stream");
      held.stream().release();
    }
    held.check(all_ranks());
    member.group->leave(kGrace);
  });
}

TEST_CASE("keyed GPUs: while a rank has joined the others go on without it") {
  constexpr Rank kJoins = 2;
  for_each_way([&](const World& world, const std::string& collectives) {
    world.run([&](Rank rank) {
      const KeyedGpuMember member = join_gpus_keyed(world, rank, collectives);
      for (int epoch = 0; epoch < 2; ++epoch) {
        if (rank != kJoins) {
          const Reductions all = reductions_of(member);
          submit_shuffled(all, static_cast<unsigned>(rank));
          for (const auto& one : all) one->check({0, 1, 3});
        }
        if (rank != kJoins) check_broadcast(member, 3);
        const Result<Rank> last = member.order->join().get();
        expect(last.ok(), last.status().message());
        const Reductions together = reductions_of(member);
        submit_shuffled(together, static_cast<unsigned>(rank));
        for (const auto& one : together) one->check(all_ranks());
      }
      member.group->leave(kGrace);
    });
  });
}

TEST_CASE("keyed GPUs: a rank that does not come to a collective is named, with the key") {
  constexpr Rank kLate = 3;
  const World world{kOneHost, kRanks};
  std::atomic<int> told{0};
  world.run([&](Rank rank) {
    const KeyedGpuMember member = join_gpus_keyed(world, rank, "nccl");
    Reduction first{member, 0, false};
    first.submit();
    first.check(all_ranks());
    Reduction second{member, 1, false};
    if (rank != kLate) {
      second.submit(std::chrono::seconds{1});
      const std::string message = second.outcome().message();
      expect(message.find("rank 3") != std::string::npos, message);
      expect(message.find("key 1") != std::string::npos, message);
      ++told;
    }
    const Deadline deadline = Deadline::after(std::chrono::seconds{30});
    while (told < kRanks - 1 && !deadline.passed()) ::sched_yield();
    member.group->leave(std::chrono::seconds{1});
  });
}

TEST_CASE("keyed GPUs: an op on a GPU here and on the host there is told at once") {
  const World world{kOneHost, 2};
  world.run([&](Rank rank) {
    const KeyedGpuMember member = join_gpus_keyed(world, rank, "nccl");
    std::string message;
    if (rank == 0) {
      Reduction on_gpu{member, 0, false};
      on_gpu.submit();
      message = on_gpu.outcome().message();
    } else {
      std::vector<float> values(kCount);
      std::promise<Status> done;
      Request request{.collective = Collective::kAllReduce,
                      .dtype = DType::kFloat32,
                      .in = values.data(),
                      .out = values.data(),
                      .count = kCount};
      request.on_complete = [&](const Status& outcome) { done.set_value(outcome); };
      member.order->submit("key 0", std::move(request));
      const Status outcome = done.get_future().get();
      expect(outcome.code() == StatusCode::kMismatch, outcome.message());
      message = outcome.message();
    }
    expect(message.find("uint32, 1 element") != std::string::npos, message);
    expect(message.find("float32, 700 elements") != std::string::npos, message);
    member.group->leave(std::chrono::seconds{1});
  });
}

/// A rank cannot copy to its bucket, perhaps in the group's first collective.
void check_failure_of_one(bool is_first) {
  const World world{kOneHost, 2};
  world.run([&](Rank rank) {
    const KeyedGpuMember member = join_gpus_keyed(world, rank, "nccl");
    if (!is_first) {
      Reduction before{member, 0, false};
      before.submit();
      before.check({0, 1});
    }
    Reduction fails{member, 1, rank == 1};
    if (rank == 1) refuse("cuMemcpyDtoDAsync_v2", 1);
    fails.submit();
    const std::string message = fails.outcome().message();
    expect(message.find("cuMemcpyDtoDAsync") != std::string::npos, message);
    expect(message.find("rank 1") != std::string::npos, message);
    Reduction later{member, 2, false};
    later.submit();
    expect(!later.outcome().ok(), "it has ended well");
    member.group->leave(std::chrono::seconds{1});
  });
}

TEST_CASE("keyed GPUs: a rank that fails alone leaves, and says why") {
  for (const bool is_first : {true, false}) {
    CAPTURE(is_first);
    check_failure_of_one(is_first);
  }
}

TEST_CASE("keyed GPUs: a second GPU is refused, and the group goes on") {
  const World world{kOneHost, 2};
  world.run([&](Rank rank) {
    const KeyedGpuMember member = join_gpus_keyed(world, rank, "nccl");
    Reduction first{member, 0, false};
    first.submit();
    first.check({0, 1});
    std::promise<Status> done;
    DeviceRequest what;
    what.ordinal = 3;
    what.request.on_complete = [&](const Status& outcome) { done.set_value(outcome); };
    member.group->submit("elsewhere", std::move(what));
    const Status refused = done.get_future().get();
    expect(refused.code() == StatusCode::kInvalidArgument, refused.message());
    expect(refused.message().find("GPU 3") != std::string::npos, refused.message());
    Reduction last{member, 1, true};
    last.submit();
    last.check({0, 1});
    member.group->leave(kGrace);
  });
}

TEST_CASE("keyed GPUs: who leaves finishes what all have come to") {
  for_each_way([&](const World& world, const std::string& collectives) {
    world.run([&](Rank rank) {
      const KeyedGpuMember member = join_gpus_keyed(world, rank, collectives);
      const Reductions all = reductions_of(member);
      submit_shuffled(all, static_cast<unsigned>(rank));
      std::promise<Status> agreed;
      Request barrier;  // rank 0's last, so that of all
      barrier.on_complete = [&](const Status& outcome) { agreed.set_value(outcome); };
      member.order->submit("barrier", std::move(barrier));
      const Status met = agreed.get_future().get();
      expect(met.ok(), met.message());
      member.group->leave(kGrace);
      for (const auto& one : all) one->check(all_ranks());
    });
  });
}

TEST_CASE("keyed GPUs: leaving ends what still waits, once") {
  const World world{kOneHost, 2};
  world.run([&](Rank rank) {
    const KeyedGpuMember member = join_gpus_keyed(world, rank, "nccl");
    Reduction waits{member, rank, false};  // each for the other one's key
    waits.submit();
    member.group->leave(std::chrono::milliseconds{100});
    expect(!waits.outcome().ok(), "it has ended well");
    Reduction later{member, 9, false};
    later.submit();
    expect(!later.outcome().ok(), "it has ended well");
  });
}

}  // namespace
}  // namespace smddp::test
