#include <algorithm>
#include <memory>
#include <vector>

#include <doctest/doctest.h>

#include "provider/rig.h"

// Collectives on memory that all ranks reach.

namespace smddp {
namespace {

using namespace test;

/// Arrays of one rank in the memory that a test asks for.
struct Arrays {
  Arrays(Rig& rig, int rank, bool registered, std::size_t in_count, std::size_t out_count)
      : plain(registered ? 0 : in_count + out_count),
        in(registered ? rig.registered(rank, in_count) : plain.data()),
        out(registered ? rig.registered(rank, out_count) : plain.data() + in_count) {
    for (std::size_t i = 0; i < in_count; ++i) in[i] = value(rank, i);
    std::fill_n(out, out_count, -1);
  }

  NativeCall call(const NativeStep& step, bool in_place = false) const {
    return NativeCall{.step = &step,
                      .dtype = DType::kInt32,
                      .in = reinterpret_cast<const std::byte*>(in),
                      .out = reinterpret_cast<std::byte*>(in_place ? in : out)};
  }

  std::vector<int> plain;
  int* in;
  int* out;
};

/// Which ranks have their arrays in registered memory.
enum class Mix { kAll, kNone, kFirst, kLast };
bool is_registered(Mix mix, int rank, int ranks) {
  switch (mix) {
    case Mix::kAll:
      return true;
    case Mix::kNone:
      return false;
    case Mix::kFirst:
      return rank == 0;
    default:
      return rank == ranks - 1;
  }
}

constexpr std::size_t kLarge = 70'001;  // of 4 bytes: more than one turn of a rank's share

TEST_CASE("all_reduce and reduce on registered and mixed memory") {
  for (const int ranks : {2, 3, 5}) {
    for (const Mix mix : {Mix::kAll, Mix::kFirst, Mix::kLast, Mix::kNone, Mix::kAll}) {
      for (const bool in_place : {false, true}) {
        Rig rig{ranks};
        rig.run([&](ShmProvider& provider, int rank) {
          const Arrays mine{rig, rank, is_registered(mix, rank, ranks), kLarge, kLarge};
          NativeStep step{.collective = Collective::kAllReduce,
                          .in = {Space::kIn, 0, kLarge},
                          .out = {Space::kOut, 0, kLarge}};
          run_call(provider, mine.call(step, in_place));
          const int* const result = in_place ? mine.in : mine.out;
          for (std::size_t i = 0; i < kLarge; ++i) REQUIRE(result[i] == sum_of(ranks, i));

          // A second one, on what the first has left: every rank has the same now.
          step.collective = Collective::kReduce;
          step.root = ranks - 1;
          if (!in_place) std::copy_n(mine.out, kLarge, mine.in);
          std::fill_n(mine.out, kLarge, -1);
          run_call(provider, mine.call(step, in_place && rank == step.root));
          for (std::size_t i = 0; i < kLarge; ++i) {
            const bool has_result = in_place && rank == step.root;
            REQUIRE(mine.in[i] == (has_result ? ranks : 1) * sum_of(ranks, i));
            const bool gets = !in_place && rank == step.root;
            REQUIRE(mine.out[i] == (gets ? ranks * sum_of(ranks, i) : -1));
          }
        });
        CHECK(rig.staged_nothing() == (mix == Mix::kAll));
      }
    }
  }
}

TEST_CASE("reduce_scatter on registered and mixed memory, also into its own part") {
  constexpr int kRanks = 3;
  for (const Mix mix : {Mix::kAll, Mix::kFirst, Mix::kNone}) {
    for (const bool in_place : {false, true}) {
      Rig rig{kRanks};
      rig.run([&](ShmProvider& provider, int rank) {
        NativeStep step{.collective = Collective::kReduceScatter, .in = {Space::kIn, 0, kLarge}};
        step.in_parts = {{0, 7}, {7, 0}, {7, kLarge - 7}};
        const Part own = step.in_parts[static_cast<std::size_t>(rank)];
        const Arrays mine{rig, rank, is_registered(mix, rank, kRanks), kLarge, kLarge};
        NativeCall call = mine.call(step);
        int* const result = in_place ? mine.in + own.offset : mine.out;
        call.out = reinterpret_cast<std::byte*>(result);
        run_call(provider, call);
        for (std::size_t i = 0; i < own.count; ++i)
          REQUIRE(result[i] == sum_of(kRanks, own.offset + i));
      });
      CHECK(rig.staged_nothing() == (mix == Mix::kAll));
    }
  }
}

TEST_CASE("all_gather, gather and broadcast on registered and mixed memory") {
  constexpr int kRanks = 3;
  constexpr std::size_t kPart = 30'011;
  for (const auto collective :
       {Collective::kAllGather, Collective::kGather, Collective::kBroadcast}) {
    for (const Mix mix : {Mix::kAll, Mix::kFirst, Mix::kLast, Mix::kNone}) {
      Rig rig{kRanks};
      rig.run([&](ShmProvider& provider, int rank) {
        const bool all = collective != Collective::kBroadcast;
        NativeStep step{.collective = collective, .root = 2};
        step.in.count = kPart;
        step.out.count = all ? 3 * kPart : kPart;
        for (std::size_t j = 0; j < kRanks; ++j) step.out_parts.push_back({j * kPart, kPart});
        const Arrays mine{rig, rank, is_registered(mix, rank, kRanks), kPart, step.out.count};
        run_call(provider, mine.call(step));
        for (std::size_t i = 0; i < step.out.count; ++i) {
          int expected = value(all ? static_cast<int>(i / kPart) : 2, i % kPart);
          if (collective == Collective::kGather && rank != 2) expected = -1;
          REQUIRE(mine.out[i] == expected);
        }
      });
      const bool root_alone = collective == Collective::kBroadcast && mix == Mix::kLast;
      CHECK(rig.staged_nothing() == (mix == Mix::kAll || root_alone));
    }
  }
}

TEST_CASE("scatter on registered and mixed memory, also into its own part") {
  constexpr int kRanks = 3;
  constexpr int kRoot = 1;
  for (const Mix mix : {Mix::kAll, Mix::kFirst, Mix::kNone}) {
    for (const bool in_place : {false, true}) {
      Rig rig{kRanks};
      rig.run([&](ShmProvider& provider, int rank) {
        const bool is_root = rank == kRoot;
        NativeStep step{.collective = Collective::kScatter, .root = kRoot};
        step.in_parts = {{0, 7}, {7, 30'011}, {30'018, kLarge - 30'018}};
        if (is_root) step.in.count = kLarge;
        const Part own = step.in_parts[static_cast<std::size_t>(rank)];
        const Arrays mine{rig, rank, is_registered(mix, rank, kRanks), kLarge, kLarge};
        NativeCall call = mine.call(step);
        int* const result = in_place && is_root ? mine.in + own.offset : mine.out;
        call.out = reinterpret_cast<std::byte*>(result);
        if (!is_root) call.in = nullptr;
        run_call(provider, call);
        for (std::size_t i = 0; i < own.count; ++i)
          REQUIRE(result[i] == value(kRoot, own.offset + i));
      });
      CHECK(rig.staged_nothing() == (mix == Mix::kAll));
    }
  }
}

TEST_CASE("all_to_all on registered and mixed memory, with counts that only the sender knows") {
  constexpr int kRanks = 3;
  const auto count = [](int from, int to) {
    return static_cast<std::size_t>(from == 1 && to != 1 ? 0 : 20'000 + from * 500 + to);
  };
  for (const Mix mix : {Mix::kAll, Mix::kFirst, Mix::kNone, Mix::kAll}) {
    Rig rig{kRanks};
    rig.run([&](ShmProvider& provider, int rank) {
      NativeStep step{.collective = Collective::kAllToAll};
      for (int peer = 0; peer < kRanks; ++peer) {
        step.in_parts.push_back({step.in.count, count(rank, peer)});
        step.out_parts.push_back({step.out.count, count(peer, rank)});
        step.in.count += count(rank, peer);
        step.out.count += count(peer, rank);
      }
      const Arrays mine{rig, rank, is_registered(mix, rank, kRanks), step.in.count, step.out.count};
      run_call(provider, mine.call(step));
      for (int peer = 0; peer < kRanks; ++peer) {
        std::size_t offset = 0;
        for (int before = 0; before < rank; ++before) offset += count(peer, before);
        const Part part = step.out_parts[static_cast<std::size_t>(peer)];
        for (std::size_t i = 0; i < part.count; ++i)
          REQUIRE(mine.out[part.offset + i] == value(peer, offset + i));
      }
    });
  }
}

TEST_CASE("arrays that overlap as no in-place form has it go through staging, and come out right") {
  constexpr int kRanks = 2;
  constexpr std::size_t kPart = 30'000;
  Rig rig{kRanks};
  rig.run([&](ShmProvider& provider, int rank) {
    // Everybody's result where rank 0's part lies.
    const Arrays mine{rig, rank, true, 2 * kPart, 0};
    NativeStep scatter{.collective = Collective::kReduceScatter, .in = {Space::kIn, 0, 2 * kPart}};
    scatter.in_parts = {{0, kPart}, {kPart, kPart}};
    run_call(provider, mine.call(scatter, true));
    const std::size_t own = rank == 0 ? 0 : kPart;
    for (std::size_t i = 0; i < kPart; ++i) REQUIRE(mine.in[i] == sum_of(kRanks, own + i));

    // Everybody's contribution where rank 0's part lies.
    for (std::size_t i = 0; i < kPart; ++i) mine.in[i] = value(rank, i);
    NativeStep gather{.collective = Collective::kAllGather, .in = {Space::kIn, 0, kPart}};
    gather.out = {Space::kOut, 0, 2 * kPart};
    gather.out_parts = {{0, kPart}, {kPart, kPart}};
    run_call(provider, mine.call(gather, true));
    for (std::size_t i = 0; i < 2 * kPart; ++i)
      REQUIRE(mine.in[i] == value(static_cast<int>(i / kPart), i % kPart));
  });
  CHECK_FALSE(rig.staged_nothing());
}

TEST_CASE("a rank that brings nothing does not keep the others from their registered memory") {
  Rig rig{2};
  rig.run([&](ShmProvider& provider, int rank) {
    NativeStep step{.collective = Collective::kAllGather};
    step.out_parts = {{0, kLarge}, {kLarge, 0}};
    step.out.count = kLarge;
    step.in.count = rank == 0 ? kLarge : 0;
    const Arrays mine{rig, rank, true, kLarge, kLarge};
    NativeCall call = mine.call(step);
    if (rank == 1) call.in = nullptr;
    run_call(provider, call);
    for (std::size_t i = 0; i < kLarge; ++i) REQUIRE(mine.out[i] == value(0, i));
  });
  CHECK(rig.staged_nothing());
}

TEST_CASE("without a peer's heap everything is staged") {
  Rig rig{2};
  rig.heaps[1] = {};
  rig.run([&](ShmProvider& provider, int rank) {
    const Arrays mine{rig, rank, true, kLarge, kLarge};
    const NativeStep step{.collective = Collective::kAllReduce, .in = {Space::kIn, 0, kLarge}};
    run_call(provider, mine.call(step));
    for (std::size_t i = 0; i < kLarge; ++i) REQUIRE(mine.out[i] == sum_of(2, i));
  });
  CHECK_FALSE(rig.staged_nothing());
}

/// A call on registered memory of two ranks, driven by hand.
struct HandDriven {
  HandDriven() {
    for (int rank = 0; rank < 2; ++rank) {
      providers.push_back(rig.provider(rank));
      arrays.push_back(std::make_unique<Arrays>(rig, rank, true, kLarge, 0));
      providers.back()->post(arrays.back()->call(step, true), 1);
    }
  }
  bool turn(int rank) { return providers[static_cast<std::size_t>(rank)]->progress(recorder); }
  std::vector<Rank> writers(int rank) {
    return providers[static_cast<std::size_t>(rank)]->writers();
  }

  Rig rig{2};
  NativeStep step{.collective = Collective::kAllReduce, .in = {Space::kIn, 0, kLarge}};
  Recorder recorder;
  std::vector<std::unique_ptr<ShmProvider>> providers;
  std::vector<std::unique_ptr<Arrays>> arrays;
};

TEST_CASE("a rank that fails knows who may still write to its arrays, until they fail too") {
  HandDriven pair;
  pair.turn(0);
  pair.turn(1);  // sees both
  CHECK(pair.providers[1]->writes_to_peers());
  CHECK_FALSE(pair.providers[0]->writes_to_peers());
  pair.providers[0]->abandon();
  CHECK(pair.writers(0) == std::vector<Rank>{101});
  pair.providers[1]->abandon();
  CHECK(pair.writers(0).empty());
  CHECK(pair.writers(1).empty());
  CHECK_FALSE(pair.turn(1));
}

TEST_CASE("nobody writes to the arrays of a rank that fails before all are there") {
  HandDriven pair;
  pair.turn(0);
  pair.providers[0]->abandon();
  CHECK(pair.writers(0).empty());
}

TEST_CASE("memory of an abandoned call is never given to anybody else") {
  RegisteredHeap& heap = *RegisteredHeap::of_process().value();
  Rig rig{2};
  rig.heaps[0] = heap.bytes();
  const NativeStep step{.collective = Collective::kAllReduce, .in = {Space::kIn, 0, kLarge}};
  constexpr std::size_t kBytes = kLarge * sizeof(int);
  Recorder recorder;
  for (const bool announces : {true, false}) {
    const auto provider = rig.provider(0);
    std::byte* const block = heap.allocate(kBytes).value();
    NativeCall call{.step = &step, .dtype = DType::kInt32, .in = block, .out = block};
    if (announces) {
      provider->post(call, 1);
      provider->progress(recorder);
    }
    provider->abandon();
    heap.release(block);
    std::byte* const later = heap.allocate(kBytes).value();
    CHECK((later == block) == !announces);
    heap.release(later);
  }
}

}  // namespace
}  // namespace smddp
