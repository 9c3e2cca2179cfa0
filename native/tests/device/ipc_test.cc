// Collectives by our kernels: how they are cut into rounds, and what becomes of shared memory.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "smddp/registered.h"

#include "device/gpu_world.h"
#include "device/ipc_rounds.h"
#include "engine/request_check.h"
#include "support/fabric.h"

namespace smddp::test {
namespace {

const Fabric kOneHost{"shm", "auto"};

/// The ranks of a host, each with a request, in memory of the host.
class Played {
 public:
  Played(int world, const Request& request)
      : memory_(static_cast<std::size_t>(world) * IpcSlab::kBytes), requests_(world, request) {
    for (int rank = 0; rank < world; ++rank)
      slabs_.push_back({memory_.data() + static_cast<std::size_t>(rank) * IpcSlab::kBytes});
  }

  Request& request(int rank) { return requests_[static_cast<std::size_t>(rank)]; }
  int world() const { return static_cast<int>(slabs_.size()); }

  /// All rounds of all ranks, each step by all ranks before the next: none reads what is not there
  /// yet. 64-bit integers are added.
  std::size_t play() {
    std::vector<IpcRounds> all;
    for (int rank = 0; rank < world(); ++rank) {
      complete_request(request(rank), rank, world());
      all.emplace_back(request(rank), HostPlace{rank, world()}, slabs_);
      REQUIRE(all.back().count() == all.front().count());
    }
    for (std::size_t number = 0; number < all.front().count(); ++number) {
      std::vector<IpcRound> rounds;
      for (const IpcRounds& one : all) rounds.push_back(one.round(number, number % 2 != 0));
      for (const IpcRound& round : rounds) copy(round.bring);
      for (const IpcRound& round : rounds) {
        add(round.reduce);
        copy(round.fetch);
      }
      for (const IpcRound& round : rounds) copy(round.take);
    }
    return all.front().count();
  }

 private:
  static void copy(const std::vector<IpcRound::Copy>& copies) {
    for (const auto& [from, to, bytes] : copies)
      if (from != to) std::copy_n(from, bytes, to);
  }
  static void add(const cuda::ReduceArguments& call) {
    for (std::size_t i = 0; i < call.count; ++i) {
      std::int64_t sum = 0;
      for (int k = 0; k < call.sources; ++k)
        sum += reinterpret_cast<const std::int64_t*>(call.in[k])[i];
      for (int k = 0; k < call.targets; ++k) reinterpret_cast<std::int64_t*>(call.out[k])[i] = sum;
    }
  }

  std::vector<std::byte> memory_;
  std::vector<Request> requests_;
  std::vector<IpcSlab> slabs_;
};

using Numbers = std::vector<std::int64_t>;

/// Distinct for each rank and element.
Numbers numbers(int rank, std::size_t count) {
  Numbers values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<std::int64_t>(i) * 100 + rank;
  return values;
}

constexpr std::size_t kChunk = IpcSlab::kChunk / sizeof(std::int64_t);

TEST_CASE("all_reduce adds every element once, in one round or in many") {
  for (const int world : {2, 3, 8}) {
    for (const std::size_t count :
         {std::size_t{1}, std::size_t{1000}, kChunk / 8, kChunk, kChunk + 1, 3 * kChunk + 7}) {
      CAPTURE(world);
      CAPTURE(count);
      Played played{world, {.collective = Collective::kAllReduce, .dtype = DType::kInt64}};
      std::vector<Numbers> memory;
      for (int rank = 0; rank < world; ++rank) memory.push_back(numbers(rank, count));
      for (int rank = 0; rank < world; ++rank) {
        played.request(rank).count = count;
        played.request(rank).in = played.request(rank).out =
            memory[static_cast<std::size_t>(rank)].data();
      }
      CHECK(played.play() == (count + kChunk - 1) / kChunk);
      Numbers sum(count);
      for (int rank = 0; rank < world; ++rank) {
        const Numbers mine = numbers(rank, count);
        for (std::size_t i = 0; i < count; ++i) sum[i] += mine[i];
      }
      for (const Numbers& result : memory) REQUIRE(result == sum);
    }
  }
}

TEST_CASE(
    "blocks of different sizes, some of several rounds and one of none, come where they belong") {
  constexpr int kWorld = 3;
  const std::vector<std::size_t> counts{2 * kChunk + 5, 0, 17};
  const std::size_t total = counts[0] + counts[1] + counts[2];
  const auto begin = [&](int rank) { return rank == 0 ? std::size_t{0} : counts[0]; };

  Played scatter{kWorld, {.collective = Collective::kReduceScatter, .dtype = DType::kInt64}};
  Played gather{kWorld, {.collective = Collective::kAllGather, .dtype = DType::kInt64}};
  std::vector<Numbers> whole(kWorld, Numbers(total));
  std::vector<Numbers> blocks;
  for (int rank = 0; rank < kWorld; ++rank) {
    whole[static_cast<std::size_t>(rank)] = numbers(rank, total);
    blocks.emplace_back(counts[static_cast<std::size_t>(rank)]);
  }
  std::vector<Numbers> gathered(kWorld, Numbers(total));
  for (int rank = 0; rank < kWorld; ++rank) {
    const auto at = static_cast<std::size_t>(rank);
    scatter.request(rank).counts = gather.request(rank).counts = counts;
    scatter.request(rank).in = whole[at].data();
    gather.request(rank).in = scatter.request(rank).out = blocks[at].data();
    gather.request(rank).out = gathered[at].data();
  }
  scatter.play();
  gather.play();
  Numbers sum(total);
  for (const Numbers& one : whole)
    for (std::size_t i = 0; i < total; ++i) sum[i] += one[i];
  for (int rank = 0; rank < kWorld; ++rank) {
    const auto at = static_cast<std::size_t>(rank);
    CHECK(std::equal(blocks[at].begin(), blocks[at].end(),
                     sum.begin() + static_cast<std::ptrdiff_t>(begin(rank))));
    CHECK(gathered[at] == sum);
  }
}

Request sum_of(const TestMemory& memory) {
  return {.collective = Collective::kAllReduce,
          .dtype = DType::kFloat32,
          .in = memory.data(),
          .out = memory.data(),
          .count = memory.size()};
}

TEST_CASE("large tensors of ranks that share a GPU are right, on several streams") {
  constexpr int kRanks = 4;
  constexpr std::size_t kCount = 2 * IpcSlab::kChunk / sizeof(float) + 3;
  const World world{kOneHost, kRanks};
  world.run([&](Rank rank) {
    const GpuMember member = join_gpus(world, rank, "ipc");
    TestStream first{0};
    TestStream second{0};
    std::vector<float> values(kCount);
    for (std::size_t i = 0; i < kCount; ++i)
      values[i] = static_cast<float>((i % 1000) * 10 + static_cast<std::size_t>(rank));
    const TestMemory one{0, values};
    const TestMemory other{0, values};
    if (rank == 2) first.hold();  // the second stream's must not overtake
    const Work works[] = {member.group->submit(sum_of(one), first.get()),
                          member.group->submit(sum_of(other), second.get())};
    if (rank == 2) first.release();
    for (const Work& work : works) finish(work);
    first.finish();
    second.finish();
    for (const TestMemory* memory : {&one, &other}) {
      for (std::size_t i = 0; i < kCount; ++i)
        expect(memory->data()[i] == static_cast<float>((i % 1000) * 40 + 6), "sum");
    }
  });
}

TEST_CASE("float8 is added by kernels, and refused where host memory would have to") {
  for (const std::string collectives : {"ipc", "host"}) {
    const World world{kOneHost, 2};
    world.run([&](Rank rank) {
      const GpuMember member = join_gpus(world, rank, collectives);
      TestStream stream{member.gpu};
      const TestMemory memory{member.gpu, std::vector<float>(4, 0.0F)};
      auto* const bytes = reinterpret_cast<std::uint8_t*>(memory.data());
      std::fill_n(bytes, 16, 0x38);  // 1
      const Status outcome = outcome_of(member.group->submit({.collective = Collective::kAllReduce,
                                                              .dtype = DType::kFloat8E4m3fn,
                                                              .in = bytes,
                                                              .out = bytes,
                                                              .count = 16},
                                                             stream.get()));
      stream.finish();
      if (collectives == "host") {
        expect(outcome.code() == StatusCode::kInvalidArgument, outcome.message());
        expect(outcome.message().find("float8_e4m3fn") != std::string::npos, outcome.message());
      } else {
        expect(outcome.ok(), outcome.message());
        expect(bytes[0] == 0x40 && bytes[15] == 0x40, "1 + 1 is 2");
      }
    });
  }
}

TEST_CASE("a rank that died with others waiting for it on the GPU leaves them able to go on") {
  if (kSeesRacesAfterFailures) return;
  // As a thread cannot die alone, it leaves without what the others wait for.
  const World world{kOneHost, 3};
  world.run([&](Rank rank) {
    GpuMember member = join_gpus(world, rank, "ipc");
    expect(member.group->meet().ok(), "meeting");
    TestStream stream{0};
    const TestMemory memory{0, std::vector<float>(100, 1.0F)};
    if (rank == 1) {
      member.group->leave(std::chrono::milliseconds{0}, "it has to go");
      return;
    }
    const Status outcome = outcome_of(member.group->submit(sum_of(memory), stream.get()));
    expect(outcome.message().find("rank 1") != std::string::npos, outcome.message());
    stream.finish();
  });
}

TEST_CASE("a caller who is too far ahead of the GPU hears of a rank that left") {
  if (kSeesRacesAfterFailures) return;
  constexpr std::size_t kCount = 40 * IpcSlab::kChunk / sizeof(float);
  limit_queues(50);
  const World world{kOneHost, 3};
  world.run([&](Rank rank) {
    const GpuMember member = join_gpus(world, rank, "ipc");
    expect(member.group->meet().ok(), "meeting");
    if (rank == 1) {
      member.group->leave(std::chrono::milliseconds{0}, "it has to go");
      return;
    }
    TestStream stream{0};
    const TestMemory memory{0, std::vector<float>(kCount, 1.0F)};
    const Status outcome = outcome_of(member.group->submit(sum_of(memory), stream.get()));
    expect(outcome.message().find("rank 1") != std::string::npos, outcome.message());
    stream.finish();
  });
  limit_queues(0);
}

/// Nothing is lost, and nobody writes where he should not.
void check_all_go_through_host_memory(int gpu) {
  const World world{kOneHost, 3};
  world.run([&](Rank rank) {
    auto block = RegisteredBlock::allocate(4096);
    expect(block.ok(), block.status().message());
    const GpuMember member = join_gpu(
        gpu, world, rank, "auto", [](Config& config) { config.timeout = std::chrono::seconds{4}; });
    expect(member.group->meet().ok(), "meeting");
    TestStream stream{gpu};
    const TestMemory memory{gpu, std::vector<float>(100, 1.0F)};
    finish(member.group->submit(sum_of(memory), stream.get()));
    stream.finish();
    expect(memory.values() == std::vector<float>(100, 3.0F), "sum");
    expect(member.group->transport().starts_with("host"), member.group->transport());
    const std::byte* const bytes = block.value().data();
    expect(std::all_of(bytes, bytes + 4096, [](std::byte byte) { return byte == std::byte{0}; }),
           "somebody wrote into this rank's memory");
  });
}

TEST_CASE("where one rank has no room for its part, all go through host memory") {
  refuse("cuMemAlloc_v2", 1);
  check_all_go_through_host_memory(7);  // which has no slabs yet
}

TEST_CASE("where a trial fails on one rank, all go through host memory, and no stream waits") {
  if (kSeesRacesAfterFailures) return;
  refuse("cuStreamCreateWithPriority", 1);
  check_all_go_through_host_memory(0);
}

TEST_CASE("groups that come and go use the same memory, and each has it to itself") {
  for (int turn = 0; turn < 5; ++turn) {
    CAPTURE(turn);
    const World again{kOneHost, 2};
    again.run([&](Rank rank) {
      const GpuMember member = join_gpus(again, rank, "ipc");
      TestStream stream{0};
      const TestMemory memory{0, std::vector<float>(1000, static_cast<float>(rank + turn))};
      for (int k = 0; k < 3; ++k) {
        finish(member.group->submit(sum_of(memory), stream.get()));
      }
      stream.finish();
      expect(memory.values() == std::vector<float>(1000, static_cast<float>(8 * turn + 4)), "sum");
    });
  }
}

}  // namespace
}  // namespace smddp::test
