#pragma once

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "memory/mapping.h"
#include "memory/registered_heap.h"
#include "provider/shm/shm_provider.h"

// A group of ranks that are threads and share one mapping, so the thread sanitizer sees every
// access that real processes make.

namespace smddp::test {

inline constexpr std::size_t kHalfBytes = 4096;
inline constexpr std::size_t kHeapBytes = std::size_t{1} << 22;

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
  void ring_one(int) noexcept override {}
};

struct Rig {
  explicit Rig(int ranks)
      : size(ranks),
        memory(std::move(Mapping::anonymous(ShmRegion::bytes_needed(ranks, kHalfBytes))).value()),
        region(memory.bytes(), kHalfBytes) {
    for (int rank = 0; rank < ranks; ++rank) {
      owned.push_back(std::move(RegisteredHeap::create(kHeapBytes)).value());
      heaps.push_back(owned.back()->bytes());
    }
  }

  /// Memory of one rank that its peers can reach.
  int* registered(int rank, std::size_t count) {
    auto& heap = *owned[static_cast<std::size_t>(rank)];
    return reinterpret_cast<int*>(heap.allocate(count * sizeof(int)).value());
  }

  std::unique_ptr<ShmProvider> provider(int rank) {
    std::vector<Rank> names;
    for (int i = 0; i < size; ++i) names.push_back(100 + i);
    return std::make_unique<ShmProvider>(
        region, ShmProvider::Members{.ranks = names, .heaps = heaps, .self = rank}, bell, true);
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

  /// Whether nothing was ever staged.
  bool staged_nothing() const {
    for (int rank = 0; rank < size; ++rank) {
      for (const std::uint64_t chunk : {0, 1}) {
        const std::byte* const half = region.half(rank, chunk);
        if (std::any_of(half, half + kHalfBytes, [](std::byte b) { return b != std::byte{0}; }))
          return false;
      }
    }
    return true;
  }

  int size;
  Mapping memory;
  ShmRegion region;
  std::vector<std::unique_ptr<RegisteredHeap>> owned;
  std::vector<std::span<std::byte>> heaps;
  SilentBell bell;
};

inline void run_call(ShmProvider& provider, const NativeCall& call) {
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

inline int value(int rank, std::size_t i) { return rank * 1000003 + static_cast<int>(i) * 7; }

inline std::vector<int> contribution(int rank, std::size_t count) {
  std::vector<int> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = value(rank, i);
  return values;
}

inline int sum_of(int ranks, std::size_t i) {
  int sum = 0;
  for (int rank = 0; rank < ranks; ++rank) sum += value(rank, i);
  return sum;
}

}  // namespace smddp::test
