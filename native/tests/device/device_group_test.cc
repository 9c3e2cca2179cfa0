// Groups of GPUs, on a driver and an NCCL that are pretended: every rank is a thread with a GPU.
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "conformance/case.h"
#include "device/gpu_world.h"
#include "support/fabric.h"

namespace smddp::test {
namespace {

constexpr int kRanks = 4;
constexpr std::size_t kCount = 1000;
const Fabric kOneHost{"shm", "auto"};
const Fabric kTwoHosts{"two hosts, shm and tcp", "auto", true};

std::vector<Case> all_cases(int world) {
  std::vector<Case> all;
  for (const Collective collective : kCollectives) {
    for (const auto& some : {typed_cases(collective, world), sized_cases(collective, world)})
      all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

/// NCCL multiplies by 1 / ranks before it adds, which is not exact for three.
bool is_inexact(const Case& what, int world) {
  return what.op == ReduceOp::kAverage && is_floating(what.dtype) && world == 3;
}

Request sum_of(const TestMemory& in, const TestMemory& out) {
  return {.collective = Collective::kAllReduce,
          .dtype = DType::kFloat32,
          .in = in.data(),
          .out = out.data(),
          .count = in.size()};
}

TestMemory filled(int gpu, float value, std::size_t count = kCount) {
  return {gpu, std::vector<float>(count, value)};
}

void expect_ok(const Status& status) { expect(status.ok(), status.message()); }

void wait_until(const std::function<bool()>& condition, const std::string& what) {
  const Deadline deadline = Deadline::after(std::chrono::seconds{20});
  while (!condition()) {
    expect(!deadline.passed(), "in vain: " + what);
    ::sched_yield();
  }
}

using Body = std::function<void(const World&, const std::string&)>;

void for_each_way(const Body& body) {
  for (const std::string collectives : {"nccl", "ipc", "host"}) {
    CAPTURE(collectives);
    body(World{kOneHost, kRanks}, collectives);
  }
}

/// The same for what ends with a failure.
void for_each_way_to_fail(const Body& body) {
  for_each_way([&](const World& world, const std::string& collectives) {
    if (collectives != "ipc" || !kSeesRacesAfterFailures) body(world, collectives);
  });
}

/// A rank takes part in the first operation only.
void expect_late_rank_is_named(const World& world, const std::string& collectives,
                               const std::function<void(Rank, Config&)>& adjust) {
  constexpr Rank kLate = 2;
  std::atomic<int> told{0};
  world.run([&](Rank rank) {
    const GpuMember member =
        join_gpus(world, rank, collectives, [&](Config& config) { adjust(rank, config); });
    TestStream stream{member.gpu};
    const TestMemory memory = filled(member.gpu, 1.0F);
    finish(member.group->submit(sum_of(memory, memory), stream.get()));
    stream.finish();
    if (rank == kLate) {
      wait_until([&] { return told == kRanks - 1; }, "the others are told");
      return;
    }
    Request request = sum_of(memory, memory);
    request.timeout = std::chrono::milliseconds{700};
    const Status outcome = outcome_of(member.group->submit(std::move(request), stream.get()));
    expect(outcome.code() == StatusCode::kTimeout, outcome.message());
    expect(outcome.message().find("missing: rank 2 (") != std::string::npos, outcome.message());
    stream.finish();
    ++told;
  });
}

TEST_CASE("every collective is right, by NCCL, by our kernels and through host memory") {
  std::size_t turn = 0;
  for (const int ranks : {1, 2, 3, 4}) {
    for (const Fabric* fabric : {&kOneHost, &kTwoHosts}) {
      for (const std::string collectives : {"nccl", "ipc", "host"}) {
        if (collectives == "ipc" && fabric == &kTwoHosts) continue;
        CAPTURE(ranks);
        CAPTURE(fabric->name);
        CAPTURE(collectives);
        const World world{*fabric, ranks};
        std::vector<Case> cases = thinned(all_cases(ranks), turn++);
        if (collectives == "nccl")
          std::erase_if(cases, [&](const Case& what) { return is_inexact(what, ranks); });
        world.run([&](Rank rank) {
          const GpuMember member = join_gpus(world, rank, collectives);
          TestStream stream{member.gpu};
          for (const Case& what : cases) {
            Call call{what, rank, ranks};
            const Request request = call.request();
            const Reached reached{request, rank, ranks};
            finish(member.group->submit(request, stream.get()));
            stream.finish();
            call.check();
          }
        });
      }
    }
  }
}

TEST_CASE("hosts share a collective in levels, whatever its size, by NCCL or our kernels inside") {
  std::vector<Case> cases;
  for (const Case& what : all_cases(kRanks)) {
    if (what.collective == Collective::kAllReduce || what.collective == Collective::kAllGather ||
        what.collective == Collective::kReduceScatter)
      cases.push_back(what);
  }
  cases = thinned(cases, 0);
  for (const bool share_a_gpu : {false, true}) {
    CAPTURE(share_a_gpu);
    const World world{kOneHost, kRanks};
    world.run([&](Rank rank) {
      const GpuMember member =
          join_gpu(share_a_gpu ? 0 : rank, world, rank, "hierarchical", [&](Config& config) {
            config.host_id = rank < 2 ? "A" : "B";
            config.transport = "auto";
          });
      TestStream stream{member.gpu};
      for (const Case& what : cases) {
        Call call{what, rank, kRanks};
        const Request request = call.request();
        const Reached reached{request, rank, kRanks};
        finish(member.group->submit(request, stream.get()));
        stream.finish();
        call.check();
      }
      expect(member.group->transport() == (share_a_gpu ? "ipc+host" : "nccl+host"),
             member.group->transport());
    });
  }
}

TEST_CASE("what is missing on another host ends an operation in levels, and the streams go on") {
  expect_late_rank_is_named(World{kOneHost, kRanks}, "hierarchical", [](Rank rank, Config& config) {
    config.host_id = rank < 2 ? "A" : "B";
  });
}

TEST_CASE("what one shard lacks is no result for the ranks that have theirs") {
  for (const int late : {0, 3}) {
    CAPTURE(late);
    const World world{kOneHost, kRanks};
    world.run([&](Rank rank) {
      const GpuMember member = join_gpus(world, rank, "hierarchical", [&](Config& config) {
        config.host_id = rank < 2 ? "A" : "B";
      });
      TestStream stream{member.gpu};
      const TestMemory memory = filled(member.gpu, 1.0F);
      finish(member.group->submit(sum_of(memory, memory), stream.get()));
      stream.finish();
      // The others' shards do not wait for that rank, and they gather what there is.
      if (rank == late) stream.hold();
      Request request = sum_of(memory, memory);
      request.timeout = std::chrono::milliseconds{700};
      const Status outcome = outcome_of(member.group->submit(std::move(request), stream.get()));
      if (rank == late) stream.release();
      expect(!outcome.ok(), "a result that is none");
      stream.finish();
    });
  }
}

TEST_CASE("submitting waits for nothing on the stream, and operations keep its order") {
  for_each_way([](const World& world, const std::string& collectives) {
    world.run([&](Rank rank) {
      const GpuMember member = join_gpus(world, rank, collectives);
      expect_ok(member.group->meet());
      TestStream stream{member.gpu};
      const TestMemory in = filled(member.gpu, static_cast<float>(rank + 1));
      const TestMemory sum = filled(member.gpu, -1.0F);
      const TestMemory sum_of_sums = filled(member.gpu, -1.0F);
      std::atomic<int> called{0};
      auto kept = std::make_shared<int>(7);
      const std::weak_ptr<int> watched = kept;
      stream.hold();
      Request first = sum_of(in, sum);
      first.keep_alive = std::move(kept);
      first.on_complete = [&](const Status& outcome) { called += outcome.ok() ? 1 : 100; };
      const Work first_work = member.group->submit(std::move(first), stream.get());
      const Work second_work = member.group->submit(sum_of(sum, sum_of_sums), stream.get());
      expect(!first_work.is_completed() && !second_work.is_completed(), "the stream is held");
      expect(called == 0 && !watched.expired() && sum.data()[0] == -1.0F, "too early");
      stream.release();
      finish(second_work);
      stream.finish();
      expect(sum.values() == std::vector<float>(kCount, 10.0F), "sum");
      expect(sum_of_sums.values() == std::vector<float>(kCount, 40.0F), "sum of sums");
      wait_until([&] { return called == 1 && watched.expired(); }, "the memory is given back");
    });
  });
}

TEST_CASE("ranks whose calls differ learn of both sides, and their streams go on") {
  for_each_way_to_fail([](const World& world, const std::string& collectives) {
    world.run([&](Rank rank) {
      const GpuMember member = join_gpus(world, rank, collectives);
      TestStream stream{member.gpu};
      const TestMemory memory = filled(member.gpu, 1.0F, rank == 1 ? kCount / 2 : kCount);
      if (rank == 0) stream.hold();  // NCCL would perhaps get through it
      const Status outcome = outcome_of(member.group->submit(sum_of(memory, memory), stream.get()));
      if (rank == 0) stream.release();
      expect(outcome.code() == StatusCode::kMismatch, outcome.message());
      for (const char* side : {"1000 elements", "500 elements"})
        expect(outcome.message().find(side) != std::string::npos, outcome.message());
      stream.finish();
      const Status after = outcome_of(member.group->submit(sum_of(memory, memory), stream.get()));
      expect(after.message() == outcome.message(), after.message());
    });
  });
}

TEST_CASE("a rank that does not come is named at the deadline, and the streams go on") {
  for_each_way_to_fail([](const World& world, const std::string& collectives) {
    expect_late_rank_is_named(world, collectives, [](Rank, Config&) {});
  });
}

TEST_CASE("a captured operation runs whenever its graph does; what NCCL has not is refused") {
  for_each_way([](const World& world, const std::string& collectives) {
    world.run([&](Rank rank) {
      const GpuMember member = join_gpus(world, rank, collectives);
      expect_ok(member.group->meet());
      TestStream stream{member.gpu};
      const TestMemory memory = filled(member.gpu, static_cast<float>(rank + 1));
      stream.begin_capture();
      const Status captured =
          outcome_of(member.group->submit(sum_of(memory, memory), stream.get()));
      stream.end_capture();
      expect(memory.data()[0] == static_cast<float>(rank + 1), "done, not captured");
      if (collectives != "nccl") {
        expect(captured.code() == StatusCode::kInvalidArgument, captured.message());
        expect(captured.message().find("CUDA graph") != std::string::npos, captured.message());
        return;
      }
      expect(captured.ok(), captured.message());
      for (const float result : {10.0F, 40.0F}) {
        stream.replay();
        stream.finish();
        expect(memory.values() == std::vector<float>(kCount, result), "replay");
      }
    });
  });
}

TEST_CASE("messages meet by tag, also from any rank, while others do nothing") {
  const World world{kOneHost, kRanks};
  world.run([&](Rank rank) {
    const GpuMember member = join_gpus(world, rank, "nccl");
    TestStream stream{member.gpu};
    const TestMemory first = filled(member.gpu, rank == 1 ? 5.0F : -1.0F);
    const TestMemory second = filled(member.gpu, rank == 1 ? 6.0F : -1.0F, kCount / 2);
    const auto message = [](const TestMemory& memory, MessageSide side, Rank peer, unsigned tag) {
      Request request{.message = side, .dtype = DType::kFloat32, .peer = peer, .tag = tag};
      request.in = request.out = memory.data();
      request.count = memory.size();
      return request;
    };
    if (rank == 1) {
      std::atomic<int> sent{0};
      for (const auto& [memory, tag] : {std::pair{&first, 8U}, std::pair{&second, 9U}}) {
        Request send = message(*memory, MessageSide::kSend, 3, tag);
        send.on_complete = [&](const Status& outcome) { sent += outcome.ok() ? 1 : 100; };
        static_cast<void>(member.group->submit(std::move(send), stream.get()));
      }
      wait_until([&] { return sent == 2; }, "both are sent");
    }
    if (rank == 3) {
      const Work any =
          member.group->submit(message(second, MessageSide::kRecv, kAnyRank, 9), stream.get());
      finish(any);
      expect(any.source() == 1, "source");
      finish(member.group->submit(message(first, MessageSide::kRecv, 1, 8), stream.get()));
      stream.finish();
      expect(first.values() == std::vector<float>(kCount, 5.0F), "first message");
      expect(second.values() == std::vector<float>(kCount / 2, 6.0F), "second message");
    }
  });
}

TEST_CASE("how tensors go is told, and NCCL gets what was set for it") {
  for_each_way([](const World& world, const std::string& collectives) {
    world.run([&](Rank rank) {
      const GpuMember member = join_gpus(world, rank, collectives);
      expect(member.group->transport() == "unconnected", member.group->transport());
      TestStream stream{member.gpu};
      const TestMemory memory = filled(member.gpu, 1.0F);
      finish(member.group->submit(sum_of(memory, memory), stream.get()));
      stream.finish();
      const std::string told = collectives == "host" ? "host+shm" : collectives;
      expect(member.group->transport() == told, member.group->transport());
    });
  });
}

TEST_CASE("a group waits for its GPU before it leaves, however far behind that is") {
  for_each_way([](const World& world, const std::string& collectives) {
    world.run([&](Rank rank) {
      const GpuMember member = join_gpus(world, rank, collectives);
      expect_ok(member.group->meet());
      TestStream stream{member.gpu};
      const TestMemory memory = filled(member.gpu, static_cast<float>(rank + 1));
      stream.hold();
      const Work work = member.group->submit(sum_of(memory, memory), stream.get());
      std::thread later{[&] {
        while (!work.is_completed()) {
          std::this_thread::sleep_for(std::chrono::milliseconds{100});
          stream.release();
          break;
        }
      }};
      expect_ok(member.group->finish());
      later.join();
      expect(work.is_completed() && work.status().ok(), work.status().message());
      member.group->leave(std::chrono::milliseconds{0});
      stream.finish();
      expect(memory.values() == std::vector<float>(kCount, 10.0F), "sum");
    });
  });
}

TEST_CASE("settings that cannot be are one error on all ranks") {
  const World world{kOneHost, 2};
  world.run([&](Rank rank) {
    const GpuMember member = join_gpus(world, rank, rank == 0 ? "host" : "nccl");
    TestStream stream{member.gpu};
    const TestMemory memory = filled(member.gpu, 1.0F);
    const Status outcome = outcome_of(member.group->submit(sum_of(memory, memory), stream.get()));
    expect(outcome.code() == (rank == 0 ? StatusCode::kPeerLost : StatusCode::kConfig),
           outcome.message());
    expect(outcome.message().find("differs between rank 0 and rank 1") != std::string::npos,
           outcome.message());
    stream.finish();
  });
}

TEST_CASE("leaving ends what the streams still hold up") {
  for_each_way_to_fail([](const World& world, const std::string& collectives) {
    world.run([&](Rank rank) {
      const GpuMember member = join_gpus(world, rank, collectives);
      expect_ok(member.group->meet());
      TestStream stream{member.gpu};
      const TestMemory memory = filled(member.gpu, 1.0F);
      stream.hold();
      const Work work = member.group->submit(sum_of(memory, memory), stream.get());
      member.group->leave(std::chrono::milliseconds{0});
      expect(work.is_completed() && !work.status().ok(), "no end");
      stream.release();
      stream.finish();
    });
  });
}

}  // namespace
}  // namespace smddp::test
