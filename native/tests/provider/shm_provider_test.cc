#include "provider/shm/shm_provider.h"

#include <atomic>
#include <cstring>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "memory/mapping.h"

// Ranks are threads that share one mapping, so the thread sanitizer sees every access that real
// processes make.

namespace smddp {
namespace {

constexpr std::size_t kHalfBytes = 4096;

class Recorder final : public CompletionSink {
 public:
  void complete(Token token, Status status) override {
    REQUIRE(status.ok());
    REQUIRE_FALSE(done.has_value());
    done = token;
  }
  void mismatch(Rank peer, const Envelope&) override { mismatched = peer; }
  void notice(Rank, std::span<const std::byte>) override {}
  void peer_closed(Rank, const Status&) override {}

  std::optional<Token> done;
  std::optional<Rank> mismatched;
};

class SilentBell final : public PeerBell {
 public:
  void ring() noexcept override {}
};

struct Rig {
  explicit Rig(int ranks)
      : size(ranks),
        memory(std::move(Mapping::anonymous(ShmRegion::bytes_needed(ranks, kHalfBytes))).value()),
        region(memory.bytes(), kHalfBytes) {}

  std::unique_ptr<ShmProvider> provider(int rank) {
    std::vector<Rank> names;
    for (int i = 0; i < size; ++i) names.push_back(100 + i);
    return std::make_unique<ShmProvider>(region, rank, names, bell, true);
  }

  void run(const std::function<void(ShmProvider&, int)>& body) {
    std::vector<std::thread> threads;
    for (int rank = 0; rank < size; ++rank) {
      threads.emplace_back([&, rank] {
        const auto mine = provider(rank);
        body(*mine, rank);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

  int size;
  Mapping memory;
  ShmRegion region;
  SilentBell bell;
};

void run_call(ShmProvider& provider, const NativeCall& call) {
  static std::atomic<Token> next{1};
  const Token token = next++;
  Recorder recorder;
  provider.post(call, token);
  REQUIRE_FALSE(recorder.done.has_value());  // never from inside a post
  while (!recorder.done) {
    if (!provider.progress(recorder)) std::this_thread::yield();
  }
  REQUIRE(*recorder.done == token);
}

template <typename T>
NativeCall call_on(const NativeStep& step, const std::vector<T>& in, std::vector<T>& out) {
  return NativeCall{.step = &step,
                    .dtype = DType::kInt32,
                    .in = reinterpret_cast<const std::byte*>(in.data()),
                    .out = reinterpret_cast<std::byte*>(out.data())};
}

int value(int rank, std::size_t i) { return rank * 1000003 + static_cast<int>(i) * 7; }

std::vector<int> contribution(int rank, std::size_t count) {
  std::vector<int> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = value(rank, i);
  return values;
}

int sum_of(int ranks, std::size_t i) {
  int sum = 0;
  for (int rank = 0; rank < ranks; ++rank) sum += value(rank, i);
  return sum;
}

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
