#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "transport/harness.h"
#include "transport/ofi/library.h"
#include "transport/ofi/providers.h"

// What only transport ofi does. What all transports do is tested over it by the other files here.

namespace smddp::test {
namespace {

using Bytes = std::vector<std::byte>;

TEST_CASE("ofi: a provider that cannot be used is refused before any connection") {
  for (const auto& [provider, word] :
       {std::pair{"sockets", "deprecated"}, std::pair{"pigeon", "efa, verbs, tcp"},
        std::pair{"efa", "fi_info"}}) {
    CAPTURE(provider);
    TransportContext context;
    context.ofi.provider = provider;
    const auto transport = make_transport("ofi", context).value();
    const Status refused = transport->listen().status();
    if (refused.ok()) continue;  // a machine with EFA
    CAPTURE(refused.message());
    CHECK(refused.code() == StatusCode::kConfig);
    CHECK(refused.message().find(provider) != std::string::npos);
    CHECK(refused.message().find(word) != std::string::npos);
  }
}

TEST_CASE("ofi: FI_PROVIDER is a hint") {
  const Library& library = *Library::of_process().value();
  const auto provider = [&] {
    return std::string{choose_provider(library, {.sources = {"127.0.0.1"}})
                           .value()
                           .front()
                           ->fabric_attr->prov_name};
  };
  const std::string best = provider();
  ::setenv("FI_PROVIDER", "tcp;ofi_rxm", 1);
  CHECK(provider() == "tcp;ofi_rxm");
  for (const char* hint : {"pigeon", "^tcp"}) {
    ::setenv("FI_PROVIDER", hint, 1);
    CHECK(provider() == best);
  }
  ::unsetenv("FI_PROVIDER");
}

TEST_CASE("ofi: ranks that would not understand each other are told so") {
  World world;
  world.push_back(std::make_unique<TestRank>(kRmaOfi, 0));
  world.push_back(std::make_unique<TestRank>(kTaggedOfi, 1));
  const auto addresses = listen_all(world);
  std::vector<Status> results(2);
  std::vector<std::function<void()>> functions;
  for (auto& rank : world) {
    functions.push_back([&, &rank = *rank] {
      results[static_cast<std::size_t>(rank.self)] = connect_one(rank, addresses, {});
    });
  }
  CHECK(run_threads(functions) == std::vector<std::string>{});
  for (const Status& result : results) {
    CAPTURE(result.message());
    CHECK(result.code() == StatusCode::kConfig);
    CHECK(result.message().find("SMDDP_OFI_PROVIDER") != std::string::npos);
  }
}

TEST_CASE("ofi: a message is delivered once the peer has it, whether it is received or not") {
  for (const std::string name : {kRmaOfi, kTaggedOfi}) {
    CAPTURE(name);
    World world = connected_world(name, 2);
    REQUIRE(drive(world, [&] { return world[0]->transport->delivered(); }));
    const Bytes brief = pattern(1, 100);
    const Bytes large = pattern(2, 3'000'000);
    Bytes got(large.size());
    REQUIRE(world[0]->send(1, large, 1, 1).ok());
    REQUIRE(world[0]->send(1, brief, 2, 2).ok());
    settle(world);
    CHECK_FALSE(world[0]->transport->delivered());
    REQUIRE(world[1]->receive(0, got, 1, 1).ok());
    REQUIRE(drive(world, [&] { return world[0]->transport->delivered(); }));
    CHECK(world[1]->sink.is_complete(1));
    CHECK_FALSE(world[1]->sink.is_complete(2));
    CHECK(got == large);
  }
}

TEST_CASE("ofi: RMA is left alone where a peer's end in the middle of a write ends this process") {
  const Library& library = *Library::of_process().value();
  const auto offers =
      choose_provider(library, {.name = "tcp;ofi_rxm", .sources = {"127.0.0.1"}}).value();
  CHECK_FALSE(has_rma(*offers.front()));
}

TEST_CASE("ofi: what is sent arrives although the sender does nothing more") {
  constexpr unsigned kMessages = 16;
  World world = connected_world(kTaggedOfi, 2);
  TestRank& sender = *world[0];
  TestRank& receiver = *world[1];
  std::vector<Bytes> data;
  std::vector<Bytes> got;
  for (unsigned i = 0; i < kMessages; ++i) {
    // More than sockets hold whose other end is not read, and something small after it.
    data.push_back(pattern(i, i % 4 == 3 ? 50 + i : 16'000 + i));
    got.emplace_back(data.back().size());
    REQUIRE(sender.send(1, data.back(), i, i).ok());
    REQUIRE(receiver.receive(0, got.back(), i, i).ok());
  }
  std::size_t sent = 0;
  while (sent < kMessages) {
    const Deadline deadline = soon();
    while (sender.sink.completed.size() == sent && !deadline.passed()) {
      sender.progress();
      if (sent > 0) receiver.progress();
    }
    while (sender.progress()) {
    }
    REQUIRE(sender.sink.completed.size() > sent);
    sent = sender.sink.completed.size();
    REQUIRE(receiver.run_until([&] { return receiver.sink.completed.size() >= sent; }, soon()));
  }
  CHECK(got == data);
}

TEST_CASE("ofi: many long messages are under way at once, in both directions") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  for (const std::string name : {kRmaOfi, kTaggedOfi}) {
    CAPTURE(name);
    std::mt19937 random(seed);
    World world = connected_world(name, 2);
    constexpr unsigned kMessages = 100;
    std::vector<Bytes> data;
    std::vector<Bytes> got;
    for (unsigned i = 0; i < 2 * kMessages; ++i) {
      data.push_back(pattern(i, 20'000 + random() % 1'500'000));
      got.emplace_back(data.back().size());
    }
    for (unsigned i = 0; i < kMessages; ++i) {
      for (unsigned self = 0; self < 2; ++self) {
        const Rank peer = 1 - static_cast<Rank>(self);
        REQUIRE(world[self]->send(peer, data[2 * i + self], i, 2 * i).ok());
        REQUIRE(world[self]->receive(peer, got[2 * i + 1 - self], i, 2 * i + 1).ok());
      }
    }
    REQUIRE(drive(world, [&] {
      return world[0]->sink.completed.size() + world[1]->sink.completed.size() == 4 * kMessages;
    }));
    CHECK(got == data);
    for (auto& rank : world) CHECK(rank->sink.faults == std::vector<std::string>{});
  }
}

}  // namespace
}  // namespace smddp::test
