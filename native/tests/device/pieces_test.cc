// Large tensors, which go through host memory in pieces.
#include "device/pieces.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "device/gpu_world.h"
#include "support/fabric.h"

namespace smddp::test {
namespace {

constexpr std::size_t kPiece = std::size_t{1} << 20;  // floats
const Fabric kOneHost{"shm", "auto"};

Request sum_of(float* in, float* out, std::size_t count) {
  return {.collective = Collective::kAllReduce,
          .dtype = DType::kFloat32,
          .in = in,
          .out = out,
          .count = count};
}

TEST_CASE("pieces cover the whole once, and the last has its end") {
  std::vector<float> in(2 * kPiece + 5);
  std::vector<float> out(in.size());
  Request whole = sum_of(in.data(), out.data(), in.size());
  whole.root = 3;
  whole.name = "bucket";
  whole.keep_alive = std::make_shared<int>(1);
  whole.on_complete = [](const Status&) {};
  const std::vector<Request> pieces = pieces_of(whole);
  REQUIRE(pieces.size() == 3);
  std::size_t first = 0;
  for (const Request& piece : pieces) {
    const bool is_last = &piece == &pieces.back();
    CHECK(piece.in == in.data() + first);
    CHECK(piece.out == out.data() + first);
    CHECK(piece.root == 3);
    CHECK(piece.keep_alive != nullptr);
    CHECK((piece.on_complete != nullptr) == is_last);
    first += piece.count;
  }
  CHECK(first == in.size());
  CHECK(pieces[1].name == "bucket, piece 2 of 3");
}

TEST_CASE("what is small, or has blocks that only its rank knows, stays whole") {
  CHECK(pieces_of(sum_of(nullptr, nullptr, kPiece)).size() == 1);
  CHECK(pieces_of({.collective = Collective::kAllToAll, .count = 8 * kPiece}).size() == 1);
  CHECK(pieces_of({.message = MessageSide::kSend, .count = 8 * kPiece}).size() == 1);
  const std::vector<Request> received = pieces_of(
      {.collective = Collective::kBroadcast, .dtype = DType::kFloat32, .count = 2 * kPiece});
  CHECK(received.size() == 2);
  CHECK(received[1].in == nullptr);
}

/// Every collective that is cut, on a large tensor, and what it calls its user.
void check_large(const GpuMember& member, Rank rank, int world) {
  constexpr std::size_t kCount = 2 * kPiece + 5;
  constexpr Rank kRoot = 1;
  TestStream stream{member.gpu};
  std::vector<float> values(kCount);
  for (std::size_t i = 0; i < kCount; ++i)
    values[i] = static_cast<float>((i % 1000) * 10 + static_cast<std::size_t>(rank));
  const auto sum_at = [&](std::size_t i) {
    const auto ranks = static_cast<std::size_t>(world);
    return static_cast<float>((i % 1000) * 10 * ranks + ranks * (ranks - 1) / 2);
  };
  for (const Collective collective :
       {Collective::kAllReduce, Collective::kReduce, Collective::kBroadcast}) {
    const TestMemory in{member.gpu, values};
    const TestMemory out{member.gpu, std::vector<float>(kCount, -1.0F)};
    std::atomic<int> called{0};
    Request request = sum_of(in.data(), out.data(), kCount);
    request.collective = collective;
    request.root = kRoot;
    if (collective == Collective::kReduce && rank != kRoot) request.out = nullptr;
    request.on_complete = [&](const Status& outcome) { called += outcome.ok() ? 1 : 100; };
    finish(member.group->submit(std::move(request), stream.get()));
    stream.finish();
    const Deadline deadline = Deadline::after(std::chrono::seconds{20});
    while (called == 0) expect(!deadline.passed(), "nobody is told");
    expect(called == 1, "told once, of a success");
    if (collective == Collective::kReduce && rank != kRoot) continue;
    for (std::size_t i = 0; i < kCount; ++i) {
      const float root_has = static_cast<float>((i % 1000) * 10 + kRoot);
      const float expected = collective == Collective::kBroadcast ? root_has : sum_at(i);
      expect(out.data()[i] == expected, std::string{name_of(collective)});
    }
  }
}

TEST_CASE("large tensors are right through host memory, and in levels") {
  constexpr int kRanks = 4;
  for (const std::string collectives : {"host", "hierarchical"}) {
    CAPTURE(collectives);
    const World world{kOneHost, kRanks};
    world.run([&](Rank rank) {
      const GpuMember member = join_gpus(world, rank, collectives, [&](Config& config) {
        if (collectives == "hierarchical") config.host_id = rank < 2 ? "A" : "B";
      });
      check_large(member, rank, kRanks);
    });
  }
}

TEST_CASE("a very large tensor has few pieces") {
  const std::vector<Request> pieces = pieces_of(sum_of(nullptr, nullptr, 5000 * kPiece + 1));
  CHECK(pieces.size() == 64);
}

TEST_CASE("ranks whose large tensors differ are told of the whole") {
  const World world{kOneHost, 2};
  world.run([&](Rank rank) {
    const GpuMember member = join_gpus(world, rank, "host");
    TestStream stream{member.gpu};
    const std::size_t count = rank == 0 ? 2 * kPiece : 3 * kPiece;
    const TestMemory memory{member.gpu, std::vector<float>(count, 1.0F)};
    const Status outcome =
        outcome_of(member.group->submit(sum_of(memory.data(), memory.data(), count), stream.get()));
    expect(outcome.code() == StatusCode::kMismatch, outcome.message());
    for (const char* side : {"2097152 elements", "3145728 elements"})
      expect(outcome.message().find(side) != std::string::npos, outcome.message());
    stream.finish();
  });
}

}  // namespace
}  // namespace smddp::test
