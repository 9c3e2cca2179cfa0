#include <array>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "transport/harness.h"
#include "transport/ofi/channel.h"
#include "transport/ofi/control.h"
#include "transport/ofi/library.h"
#include "transport/ofi/providers.h"
#include "transport/ofi/rails.h"
#include "transport/recorded_control.h"

// Transport ofi over several rails. That messages arrive over them is tested by the other files
// here, too; which bytes go over which card, by tests/system/test_rails.py.

namespace smddp::test {
namespace {

using Bytes = std::vector<std::byte>;

/// Ranks with so many rails each, connected.
World uneven_world(const std::string& transport, const std::vector<std::size_t>& rails) {
  World world;
  for (const std::size_t count : rails) {
    const auto rank = static_cast<Rank>(world.size());
    world.push_back(std::make_unique<TestRank>(transport, rank, count));
  }
  connect_all(world);
  return world;
}

/// Each rank sends each other one messages of all these sizes at once.
void check_exchange(World& world, const std::vector<std::size_t>& sizes) {
  const auto ranks = static_cast<unsigned>(world.size());
  const auto count = static_cast<unsigned>(sizes.size());
  std::vector<Bytes> data(ranks * ranks * count);
  std::vector<Bytes> got(data.size());
  const auto place = [&](unsigned from, unsigned to, unsigned i) {
    return (from * ranks + to) * count + i;
  };
  std::size_t expected = 0;
  for (unsigned from = 0; from < ranks; ++from) {
    for (unsigned to = 0; to < ranks; ++to) {
      for (unsigned i = 0; i < count && from != to; ++i, expected += 2) {
        const unsigned number = place(from, to, i);
        data[number] = pattern(number, sizes[i]);
        got[number].resize(sizes[i]);
        REQUIRE(world[from]->send(static_cast<Rank>(to), data[number], i, 2 * number).ok());
        REQUIRE(world[to]->receive(static_cast<Rank>(from), got[number], i, 2 * number + 1).ok());
      }
    }
  }
  REQUIRE(drive(world, [&] {
    std::size_t completed = 0;
    for (const auto& rank : world) completed += rank->sink.completed.size();
    return completed == expected;
  }));
  for (std::size_t number = 0; number < data.size(); ++number) {
    CAPTURE(number);
    CHECK(got[number] == data[number]);
  }
  for (const auto& rank : world) CHECK(rank->sink.faults == std::vector<std::string>{});
}

TEST_CASE("ofi rails: messages of all sizes arrive, whichever numbers of rails ranks have") {
  constexpr std::size_t kStripe = 16 * 1024;  // of the harness
  const std::vector<std::size_t> sizes{0,           1,           4097,        16384 - 88,
                                       kStripe,     kStripe + 1, 2 * kStripe, 2 * kStripe + 1,
                                       3 * kStripe, 50'001,      1'500'000,   1'572'865};
  for (const std::string name : {kRmaRailsOfi, kTaggedRailsOfi}) {
    CAPTURE(name);
    for (const auto& rails : {std::vector<std::size_t>{2, 2}, {3, 1}, {2, 3, 1}}) {
      World world = uneven_world(name, rails);
      check_exchange(world, sizes);
    }
  }
}

constexpr RoomPerPeer kRoom{16, 1024};

std::unique_ptr<OfiRails> open_rails(std::size_t count) {
  const Library& library = *Library::of_process().value();
  std::vector<std::string> sources{"127.0.0.1", "127.0.0.2"};
  sources.resize(count);
  auto offers = choose_provider(library, {.name = "tcp", .sources = sources}).value();
  auto rails = OfiRails::open(library, std::move(offers), 128 * 1024).value();
  REQUIRE(rails->prepare(1, kRoom).ok());
  return rails;
}

/// One of two ranks that meet over two rails.
struct Side {
  Side(Rank self, std::unique_ptr<OfiRails> own)
      : rails(std::move(own)), channel(self, 1 - self, wire) {
    by_rank[static_cast<std::size_t>(1 - self)] = &channel;
    addresses = {(*rails)[0].endpoint().address(), (*rails)[1].endpoint().address()};
  }
  ~Side() {
    rails->stop();
    channel.abandon();
  }
  Side(const Side&) = delete;
  Side& operator=(const Side&) = delete;

  void introduce() {
    channel.introduce({.rma = rails->first().has_rma(),
                       .room = kRoom,
                       .provider = rails->first().provider(),
                       .addresses = addresses});
  }
  void hear(Side& other) {
    for (const Bytes& word : other.wire.said) channel.on_control(word);
    other.wire.said.clear();
  }
  bool step() {
    rails->poll(by_rank);
    return channel.agree_on_rails();
  }

  RecordedControl wire;
  std::unique_ptr<OfiRails> rails;
  Channel channel;
  std::array<Channel*, 2> by_rank{};
  std::vector<std::string> addresses;  ///< that it tells the other
};

void meet(Side& lower, Side& higher) {
  lower.introduce();
  higher.introduce();
  lower.hear(higher);
  higher.hear(lower);
  REQUIRE(lower.channel.open(*lower.rails, kRoom).ok());
  REQUIRE(higher.channel.open(*higher.rails, kRoom).ok());
  const Deadline deadline = soon();
  for (bool agreed = false; !agreed;) {
    REQUIRE_FALSE(deadline.passed());
    agreed = lower.step();
    agreed &= higher.step();
    higher.hear(lower);
  }
}

TEST_CASE("ofi rails: two ranks agree on the rails that lead from one to the other") {
  Side lower{0, open_rails(2)};
  Side higher{1, open_rails(2)};
  SUBCASE("all") {
    meet(lower, higher);
    CHECK(lower.channel.rails() == 2);
    CHECK(higher.channel.rails() == 2);
  }
  SUBCASE("all but one where nobody answers") {
    higher.addresses[1] = open_rails(1)->first().address();
    meet(lower, higher);
    CHECK(lower.channel.rails() == 1);
    CHECK(higher.channel.rails() == 1);
  }
}

TEST_CASE("ofi rails: a card that fails counts only for the peers that are reached over it") {
  Side lower{0, open_rails(2)};
  Side higher{1, open_rails(2)};
  higher.addresses[1] = open_rails(1)->first().address();
  meet(lower, higher);
  lower.channel.on_fabric_error((*lower.rails)[1], {StatusCode::kPeerLost, "eth1: broken"});
  lower.channel.on_fabric_error((*lower.rails)[0], {StatusCode::kPeerLost, "eth0: broken"});
  RecordingSink sink;
  sink.in_progress = true;
  const Deadline deadline = soon();
  while (sink.closed.empty()) {
    REQUIRE_FALSE(deadline.passed());
    lower.channel.check_road();
    lower.channel.progress_receives(sink);
  }
  CHECK(sink.closed.front().second.message() == "rank 1 is gone: eth0: broken");
}

}  // namespace
}  // namespace smddp::test
