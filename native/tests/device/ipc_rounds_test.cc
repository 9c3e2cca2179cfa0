// How collectives by our kernels are cut into rounds, and where ranks show each other memory.
#include "device/ipc_rounds.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "engine/request_check.h"

namespace smddp::test {
namespace {

constexpr std::size_t kStaging = std::size_t{1} << 20;
constexpr std::size_t kStaged = kStaging / sizeof(std::int64_t);  // numbers

/// The ranks of a host, each with a request, in memory of the host.
class Played {
 public:
  /// `is_reached`: which rank's memory the others reach.
  Played(int world, const Request& request, std::function<bool(int rank)> is_reached)
      : memory_(static_cast<std::size_t>(world) * IpcSlab::bytes(kStaging)),
        requests_(world, request),
        is_reached_(std::move(is_reached)) {
    for (int rank = 0; rank < world; ++rank) {
      slabs_.push_back(
          {memory_.data() + static_cast<std::size_t>(rank) * IpcSlab::bytes(kStaging), kStaging});
    }
  }

  Request& request(int rank) { return requests_[static_cast<std::size_t>(rank)]; }
  int world() const { return static_cast<int>(slabs_.size()); }

  /// All rounds of all ranks, each step by all ranks before the next: none reads what is not there
  /// yet. 64-bit integers are added. How many rounds there were.
  std::size_t play() {
    std::vector<IpcRounds> all;
    for (int rank = 0; rank < world(); ++rank) {
      complete_request(request(rank), rank, world());
      all.emplace_back(request(rank), HostPlace{rank, world()}, reach(rank));
      REQUIRE(all.back().count() == all.front().count());
    }
    for (std::size_t number = 0; number < all.front().count(); ++number) {
      std::vector<IpcRound> rounds;
      for (const IpcRounds& one : all) rounds.push_back(one.round(number, number % 2 != 0));
      for (const IpcRound& round : rounds) copy(round.bring);
      for (int rank = 0; rank < world(); ++rank) compute(rounds, rank);
      for (const IpcRound& round : rounds) copy(round.take);
      for (const IpcRound& round : rounds) copied_ += round.bring.size() + round.take.size();
    }
    return all.front().count();
  }
  /// To and from slabs.
  std::size_t copied() const { return copied_; }

 private:
  /// All ranks address all memory in the same way.
  IpcView everywhere(const std::byte* memory) const {
    IpcView view{.start = memory};
    view.there.fill(reinterpret_cast<cuda::Address>(memory));
    return view;
  }
  IpcReach reach(int rank) const {
    return {slabs_, everywhere(slabs_[static_cast<std::size_t>(rank)].base),
            [this, rank](const std::byte* memory, std::size_t) -> std::optional<IpcView> {
              if (!is_reached_(rank)) return std::nullopt;
              return everywhere(memory);
            }};
  }
  static void copy(const std::vector<IpcRound::Copy>& copies) {
    for (const auto& [from, to, bytes] : copies) std::copy_n(from, bytes, to);
  }
  /// What the kernel of that rank does, where all tell it where things are.
  static void compute(const std::vector<IpcRound>& rounds, int rank) {
    const cuda::ReduceArguments& call = rounds[static_cast<std::size_t>(rank)].kernel;
    if (call.count == 0) return;
    const auto told = [&](int teller) {
      return rounds[static_cast<std::size_t>(teller)].told[static_cast<std::size_t>(rank)];
    };
    const std::size_t count =
        rounds[static_cast<std::size_t>(rank)].copies ? call.count / 8 : call.count;
    for (std::size_t i = 0; i < count; ++i) {
      std::int64_t sum = 0;
      for (int k = 0; k < call.sources; ++k) {
        const auto* const in =
            call.in[k] != nullptr ? call.in[k] : at(told(call.first_source + k).in);
        sum += reinterpret_cast<const std::int64_t*>(in)[i];
      }
      for (int k = 0; k < call.targets; ++k) {
        auto* const out =
            call.out[k] != nullptr ? call.out[k] : at(told(call.first_target + k).out);
        reinterpret_cast<std::int64_t*>(out)[i] = sum;
      }
    }
  }
  static std::byte* at(cuda::Address told) {
    REQUIRE(told != 0);
    return reinterpret_cast<std::byte*>(told);
  }

  std::vector<std::byte> memory_;
  std::vector<Request> requests_;
  const std::function<bool(int rank)> is_reached_;
  std::vector<IpcSlab> slabs_;
  std::size_t copied_ = 0;
};

/// Which ranks' memory the others reach, each by a number.
bool is_reached(int way, int rank) { return way == 2 || (way == 1 && rank % 2 == 0); }

using Numbers = std::vector<std::int64_t>;

/// Distinct for each rank and element.
Numbers numbers(int rank, std::size_t count) {
  Numbers values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<std::int64_t>(i) * 100 + rank;
  return values;
}

TEST_CASE("all_reduce adds every element once, in one round or in many, wherever ranks show it") {
  for (const int world : {2, 3, 8}) {
    for (const std::size_t count : {std::size_t{1}, std::size_t{1000}, kStaged / 8 + 1, kStaged,
                                    kStaged + 1, 3 * kStaged + 7}) {
      for (const int way : {0, 1, 2}) {
        CAPTURE(world);
        CAPTURE(count);
        CAPTURE(way);
        Played played{world,
                      {.collective = Collective::kAllReduce, .dtype = DType::kInt64},
                      [&](int rank) { return is_reached(way, rank); }};
        std::vector<Numbers> memory;
        for (int rank = 0; rank < world; ++rank) memory.push_back(numbers(rank, count));
        for (int rank = 0; rank < world; ++rank) {
          played.request(rank).count = count;
          played.request(rank).in = played.request(rank).out =
              memory[static_cast<std::size_t>(rank)].data();
        }
        CHECK(played.play() == (count + kStaged - 1) / kStaged);
        if (way == 2 && count * sizeof(std::int64_t) > IpcSlab::kEager) CHECK(played.copied() == 0);
        Numbers sum(count);
        for (int rank = 0; rank < world; ++rank) {
          const Numbers mine = numbers(rank, count);
          for (std::size_t i = 0; i < count; ++i) sum[i] += mine[i];
        }
        for (const Numbers& result : memory) REQUIRE(result == sum);
      }
    }
  }
}

TEST_CASE(
    "blocks of different sizes, some of several rounds and one of none, come where they belong") {
  constexpr int kWorld = 3;
  const std::vector<std::size_t> counts{2 * kStaged + 5, 0, 17};
  const std::size_t total = counts[0] + counts[1] + counts[2];
  const auto begin = [&](int rank) { return rank == 0 ? std::size_t{0} : counts[0]; };

  for (const int way : {0, 1, 2}) {
    CAPTURE(way);
    const auto reached = [&](int rank) { return is_reached(way, rank); };
    Played scatter{
        kWorld, {.collective = Collective::kReduceScatter, .dtype = DType::kInt64}, reached};
    Played gather{kWorld, {.collective = Collective::kAllGather, .dtype = DType::kInt64}, reached};
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
    if (way == 2) CHECK(scatter.copied() + gather.copied() == 0);
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
}

TEST_CASE("a root's tensors go to the others and come from them, whichever rank it is") {
  constexpr int kWorld = 4;
  constexpr std::size_t kCount = kStaged / 2 + 3;
  for (const int way : {0, 1, 2}) {
    for (const Rank root : {1, 2}) {
      CAPTURE(way);
      CAPTURE(root);
      std::vector<Numbers> wide;
      std::vector<Numbers> narrow;
      for (int rank = 0; rank < kWorld; ++rank) {
        wide.push_back(numbers(rank, kWorld * kCount));
        narrow.push_back(numbers(rank, kCount));
      }
      const auto play = [&](Collective collective, std::vector<Numbers>& from,
                            std::vector<Numbers>& to) {
        Played played{kWorld,
                      {.collective = collective, .dtype = DType::kInt64, .root = root},
                      [&](int rank) { return is_reached(way, rank); }};
        for (int rank = 0; rank < kWorld; ++rank) {
          played.request(rank).count = kCount;
          played.request(rank).in = from[static_cast<std::size_t>(rank)].data();
          played.request(rank).out = to[static_cast<std::size_t>(rank)].data();
        }
        played.play();
      };
      std::vector<Numbers> results(kWorld, Numbers(kCount));
      std::vector<Numbers> gathered(kWorld, Numbers(kWorld * kCount));
      play(Collective::kScatter, wide, results);
      for (int rank = 0; rank < kWorld; ++rank) {
        CHECK(std::equal(results[static_cast<std::size_t>(rank)].begin(),
                         results[static_cast<std::size_t>(rank)].end(),
                         wide[static_cast<std::size_t>(root)].begin() +
                             static_cast<std::ptrdiff_t>(rank * kCount)));
      }
      play(Collective::kGather, narrow, gathered);
      for (int rank = 0; rank < kWorld; ++rank) {
        CHECK(std::equal(narrow[static_cast<std::size_t>(rank)].begin(),
                         narrow[static_cast<std::size_t>(rank)].end(),
                         gathered[static_cast<std::size_t>(root)].begin() +
                             static_cast<std::ptrdiff_t>(rank * kCount)));
      }
      play(Collective::kReduce, narrow, results);
      CHECK(results[static_cast<std::size_t>(root)][5] == 4 * 500 + 6);
      play(Collective::kBroadcast, narrow, results);
      for (const Numbers& result : results) CHECK(result == narrow[static_cast<std::size_t>(root)]);
    }
  }
}

}  // namespace
}  // namespace smddp::test
