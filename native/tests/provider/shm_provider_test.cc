#include "provider/shm/shm_provider.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include "provider/rig.h"

namespace smddp {
namespace {

using namespace test;

TEST_CASE("all_reduce adds every rank once, in one round or many, sliced or not") {
  for (const int ranks : {1, 2, 3, 5}) {
    Rig rig{ranks};
    rig.run([&](ShmProvider& provider, int rank) {
      // 9000 elements are more than 32 KiB: slices, and several rounds of one half.
      // 4 elements travel beside the flag, 5 do not.
      for (const std::size_t count : {0, 1, 4, 5, 7, 1024, 1025, 9000}) {
        const NativeStep step{.collective = Collective::kAllReduce, .in = {Space::kIn, 0, count}};
        const std::vector<int> in = contribution(rank, count);
        std::vector<int> out(count, -1);
        run_call(provider, call_on(step, in, out));
        for (std::size_t i = 0; i < count; ++i) REQUIRE(out[i] == sum_of(ranks, i));
      }
    });
  }
}

TEST_CASE("reduce_scatter with parts of every size, some empty") {
  for (const int ranks : {2, 3, 4}) {
    Rig rig{ranks};
    rig.run([&](ShmProvider& provider, int rank) {
      for (const std::size_t unit : {0, 1, 3, 700}) {
        NativeStep step{.collective = Collective::kReduceScatter};
        std::size_t total = 0;
        for (int j = 0; j < ranks; ++j) {
          step.in_parts.push_back({total, unit * static_cast<std::size_t>(j)});
          total += step.in_parts.back().count;
        }
        const Part own = step.in_parts[static_cast<std::size_t>(rank)];
        const std::vector<int> in = contribution(rank, total);
        std::vector<int> out(own.count, -1);
        run_call(provider, call_on(step, in, out));
        for (std::size_t i = 0; i < own.count; ++i)
          REQUIRE(out[i] == sum_of(ranks, own.offset + i));
      }
    });
  }
}

/// 1 + n / 256 with n below 128: float32 holds sums of these, bfloat16 does not.
std::uint16_t bfloat16_value(int rank, std::size_t i) {
  return static_cast<std::uint16_t>(0x3f80 + (static_cast<std::size_t>(rank) * 31 + i) % 128);
}

float decoded(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

TEST_CASE("reduce_scatter of bfloat16 into float32 rounds nothing") {
  constexpr int kRanks = 3;
  for (const bool registered : {false, true}) {
    Rig rig{kRanks};
    rig.run([&](ShmProvider& provider, int rank) {
      for (const std::size_t unit : {0, 1, 3, 700, 12'001}) {
        NativeStep step{.collective = Collective::kReduceScatter};
        step.in_parts = {{0, unit}, {unit, 2 * unit}, {3 * unit, 0}};
        step.in = {Space::kIn, 0, 3 * unit};
        const Part own = step.in_parts[static_cast<std::size_t>(rank)];
        std::vector<std::uint16_t> plain(3 * unit);
        auto* const in =
            registered ? reinterpret_cast<std::uint16_t*>(rig.registered(rank, 3 * unit / 2 + 1))
                       : plain.data();
        for (std::size_t i = 0; i < 3 * unit; ++i) in[i] = bfloat16_value(rank, i);
        std::vector<float> out(own.count, -1);
        run_call(provider, {.step = &step,
                            .dtype = DType::kBFloat16,
                            .out_dtype = DType::kFloat32,
                            .in = reinterpret_cast<const std::byte*>(in),
                            .out = reinterpret_cast<std::byte*>(out.data())});
        for (std::size_t i = 0; i < own.count; ++i) {
          float sum = 0;
          for (int j = 0; j < kRanks; ++j) sum += decoded(bfloat16_value(j, own.offset + i));
          REQUIRE(out[i] == sum);
        }
      }
    });
  }
}

TEST_CASE("all_gather, gather and broadcast move whole contributions") {
  constexpr int kRanks = 3;
  Rig rig{kRanks};
  rig.run([&](ShmProvider& provider, int rank) {
    for (const std::size_t count : {0, 1, 4, 5, 1500}) {
      for (const auto collective :
           {Collective::kAllGather, Collective::kGather, Collective::kBroadcast}) {
        NativeStep step{.collective = collective, .root = 1};
        step.out.count = collective == Collective::kBroadcast ? count : 3 * count;
        for (std::size_t j = 0; j < kRanks; ++j) step.out_parts.push_back({j * count, count});
        const std::vector<int> in = contribution(rank, count);
        std::vector<int> out(3 * count, -1);
        run_call(provider, call_on(step, in, out));
        for (std::size_t i = 0; i < 3 * count; ++i) {
          const int from = static_cast<int>(i / std::max<std::size_t>(count, 1));
          int expected = value(from, i % std::max<std::size_t>(count, 1));
          if (collective == Collective::kGather && rank != 1) expected = -1;
          if (collective == Collective::kBroadcast) expected = i < count ? value(1, i) : -1;
          REQUIRE(out[i] == expected);
        }
      }
    }
  });
}

TEST_CASE("scatter takes parts of every size out of the root's memory") {
  constexpr int kRanks = 4;
  Rig rig{kRanks};
  rig.run([&](ShmProvider& provider, int rank) {
    for (const int root : {0, 2}) {
      for (const std::size_t unit : {0, 1, 3, 700}) {
        NativeStep step{.collective = Collective::kScatter, .root = root};
        std::size_t total = 0;
        for (const std::size_t factor : {2, 0, 5, 1}) {
          step.in_parts.push_back({total, unit * factor});
          total += unit * factor;
        }
        const Part own = step.in_parts[static_cast<std::size_t>(rank)];
        const std::vector<int> in = rank == root ? contribution(rank, total) : std::vector<int>{};
        std::vector<int> out(own.count, -1);
        run_call(provider, call_on(step, in, out));
        for (std::size_t i = 0; i < own.count; ++i) REQUIRE(out[i] == value(root, own.offset + i));
      }
    }
  });
}

TEST_CASE("all_to_all with counts that only sender and receiver know") {
  constexpr int kRanks = 3;
  const auto count = [](int from, int to) { return static_cast<std::size_t>(from * 500 + to); };
  Rig rig{kRanks};
  rig.run([&](ShmProvider& provider, int rank) {
    NativeStep step{.collective = Collective::kAllToAll};
    std::size_t sent = 0;
    std::size_t received = 0;
    for (int peer = 0; peer < kRanks; ++peer) {
      step.in_parts.push_back({sent, count(rank, peer)});
      step.out_parts.push_back({received, count(peer, rank)});
      sent += count(rank, peer);
      received += count(peer, rank);
    }
    const std::vector<int> in = contribution(rank, sent);
    std::vector<int> out(received, -1);
    run_call(provider, call_on(step, in, out));
    for (int peer = 0; peer < kRanks; ++peer) {
      std::size_t offset = 0;
      for (int before = 0; before < rank; ++before) offset += count(peer, before);
      const Part part = step.out_parts[static_cast<std::size_t>(peer)];
      for (std::size_t i = 0; i < part.count; ++i)
        REQUIRE(out[part.offset + i] == value(peer, offset + i));
    }
  });
}

TEST_CASE("ranks that post different operations all hear whose differs, and nothing completes") {
  constexpr int kRanks = 3;
  Rig rig{kRanks};
  rig.run([&](ShmProvider& provider, int rank) {
    const NativeStep step{.collective = Collective::kBarrier};
    NativeCall call{.step = &step};
    if (rank == 2) call.envelope[0] = std::byte{9};
    Recorder recorder;
    provider.post(call, 5);
    while (!recorder.mismatched) {
      if (!provider.progress(recorder)) std::this_thread::yield();
    }
    CHECK_FALSE(recorder.done.has_value());
    CHECK((rank == 2 ? *recorder.mismatched == 100 : *recorder.mismatched == 102));
  });
}

TEST_CASE("a rank that waits knows for whom") {
  Rig rig{2};
  const auto first = rig.provider(0);
  const NativeStep step{.collective = Collective::kBarrier};
  Recorder recorder;
  first->post(NativeCall{.step = &step}, 1);
  CHECK(first->waiting_for().empty());
  first->progress(recorder);
  CHECK(first->waiting_for() == std::vector<Rank>{101});
  first->abandon();
  CHECK_FALSE(first->progress(recorder));
  CHECK_FALSE(recorder.done.has_value());
}

}  // namespace
}  // namespace smddp
