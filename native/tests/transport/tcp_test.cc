#include <arpa/inet.h>
#include <sys/socket.h>

#include <array>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "base/auth.h"
#include "base/guarded_fd.h"
#include "base/socket.h"
#include "transport/harness.h"
#include "transport/stream/frame.h"
#include "transport/stream/inbox.h"
#include "transport/stream/outbox.h"
#include "transport/tcp/address.h"
#include "transport/tcp/congestion.h"
#include "transport/tcp/liveness.h"
#include "transport/tcp/socket_stream.h"

namespace smddp::test {
namespace {

using Bytes = std::vector<std::byte>;

/// What rank 1 says first to rank 0.
std::string hello(Rank client, Rank server) {
  std::string text("SMDDPT\0\1", 8);
  text.append(reinterpret_cast<const char*>(&client), sizeof(client));
  text.append(reinterpret_cast<const char*>(&server), sizeof(server));
  return text;
}

UniqueFd connect_to(const PeerAddress& address) {
  const TcpAddress parsed = parse_tcp_address(address.address).value();
  return connect_tcp(routes_to(parsed).front(), parsed.port, soon()).value();
}

void say(const UniqueFd& socket, const std::string& text) {
  // The stranger may have been thrown out already.
  const Status status = send_all(socket.get(), std::as_bytes(std::span(text)), soon());
  require(status.ok() || status.code() == StatusCode::kPeerLost, status.message());
}

TEST_CASE("tcp: strangers neither get in nor disturb while ranks connect") {
  World world = make_world("tcp", 3);
  const auto addresses = listen_all(world);
  std::vector<UniqueFd> strangers;
  for (const PeerAddress& address : {addresses[0], addresses[1]}) {
    const Rank server = address.rank;
    for (int i = 0; i < 100; ++i)
      strangers.push_back(connect_to(address));  // silent; more than are kept
    strangers.push_back(connect_to(address));
    say(strangers.back(), "GET / HTTP/1.1\r\n\r\n");
    strangers.push_back(connect_to(address));
    say(strangers.back(), random_bytes(100'000));
    strangers.push_back(connect_to(address));
    say(strangers.back(), hello(2, server));  // the right words, and then silence
    strangers.push_back(connect_to(address));
    say(strangers.back(), hello(2, server) + random_bytes(64));
    strangers.push_back(connect_to(address));
    say(strangers.back(), hello(server, server) + random_bytes(64));
    strangers.push_back(connect_to(address));
    say(strangers.back(), hello(2, server).substr(0, 5));
    connect_to(address).reset();
  }
  std::vector<std::function<void()>> functions;
  for (auto& rank : world) {
    functions.push_back([&rank = *rank, &addresses] {
      const Status status = connect_one(rank, addresses, {});
      require(status.ok(), status.message());
    });
  }
  const auto begin = Deadline::Clock::now();
  CHECK(run_threads(functions) == std::vector<std::string>{});
  CHECK(Deadline::Clock::now() - begin < std::chrono::seconds(4));
  world[2]->notice(0, "well");
  REQUIRE(drive(world, [&] { return !world[0]->sink.notices.empty(); }));
  for (auto& rank : world) CHECK(rank->sink.closed.empty());
}

TEST_CASE("tcp: who is refused learns why") {
  World world = make_world("tcp", 2);
  const auto addresses = listen_all(world);
  Status refused;
  std::vector<std::function<void()>> functions;
  for (auto& rank : world) {
    functions.push_back([&, &rank = *rank] {
      Entrance entrance;
      entrance.deadline = Deadline::after(std::chrono::milliseconds(400));
      if (rank.self == 1) entrance.secret = "other";
      const Status status = connect_one(rank, addresses, entrance);
      if (rank.self == 1) refused = status;
    });
  }
  CHECK(run_threads(functions) == std::vector<std::string>{});
  CHECK(refused.code() == StatusCode::kTimeout);
  CAPTURE(refused.message());
  CHECK(refused.message().find(label(0) + " (") != std::string::npos);
  CHECK(refused.message().find("secret") != std::string::npos);
}

TEST_CASE("tcp: a listening stranger at a published address is passed over") {
  TestRank server("tcp", 0, "127.0.0.1");
  TestRank client("tcp", 1);
  TcpAddress address = parse_tcp_address(server.transport->listen().value()).value();
  REQUIRE(client.transport->listen().ok());
  // The first route leads to a program that accepts and says something else.
  UniqueFd stranger = listen_tcp("127.0.0.2", address.port).value();
  address.machine.clear();
  address.hosts = {"127.0.0.2", "127.0.0.1"};
  const std::vector<PeerAddress> to_server{{0, to_text(address)}};
  const std::vector<PeerAddress> to_client{{1, "unused/1/"}};
  const auto errors = run_threads({
      [&] {
        require(server.transport->connect(to_client, "secret", "world", soon()).ok(), "server");
      },
      [&] {
        require(client.transport->connect(to_server, "secret", "world", soon()).ok(), "client");
      },
      [&] {
        const auto caught = accept_connection(stranger.get(), soon());
        require(caught.ok(), "the first route was not tried first");
        say(caught.value(), std::string(100, 'x'));
      },
  });
  CHECK(errors == std::vector<std::string>{});
}

TEST_CASE("tcp: a rank listens on the interface that it is told") {
  World world;
  for (Rank rank = 0; rank < 2; ++rank)
    world.push_back(std::make_unique<TestRank>("tcp", rank, "127.0.0.1"));
  const auto addresses = listen_all(world);
  const TcpAddress parsed = parse_tcp_address(addresses[0].address).value();
  CHECK(parsed.hosts == std::vector<std::string>{"127.0.0.1"});
  CHECK(parsed.machine.empty());
  std::vector<std::function<void()>> functions;
  for (auto& rank : world) {
    functions.push_back(
        [&rank = *rank, &addresses] { require(connect_one(rank, addresses, {}).ok(), "connect"); });
  }
  CHECK(run_threads(functions) == std::vector<std::string>{});

  TestRank elsewhere("tcp", 0, "203.0.113.1");
  const Status status = elsewhere.transport->listen().status();
  CHECK_FALSE(status.ok());
  CHECK(status.message().find("203.0.113.1") != std::string::npos);
}

TEST_CASE("tcp addresses survive the text") {
  const TcpAddress address{"boot.42", 40'000, {"10.0.0.1", "172.17.0.1"}};
  const TcpAddress back = parse_tcp_address(to_text(address)).value();
  CHECK(back.machine == address.machine);
  CHECK(back.port == address.port);
  CHECK(back.hosts == address.hosts);
  CHECK(routes_to(back) == address.hosts);
  CHECK(routes_to(parse_tcp_address("/1/").value()).empty());
  for (const char* text :
       {"", "inproc:1234", "m/0/10.0.0.1", "m/65536/10.0.0.1", "m/x/10.0.0.1", "m/1/host", "m/1"}) {
    CAPTURE(text);
    CHECK(parse_tcp_address(text).status().code() == StatusCode::kInvalidArgument);
  }
}

TEST_CASE("tcp: loopback is the first route on the same machine and none elsewhere") {
  const TcpAddress here = local_address("", 5);
  if (!here.machine.empty()) CHECK(routes_to(here).front() == "127.0.0.1");
  TcpAddress elsewhere = here;
  elsewhere.machine = "other";
  CHECK(routes_to(elsewhere) == here.hosts);
  for (const std::string& host : here.hosts) CHECK(host.substr(0, 4) != "127.");
}

TEST_CASE("tcp: bytes that are no frame end the connection") {
  for (const bool huge_notice : {true, false}) {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    const UniqueFd writer{ends[0]};
    FrameHeader header;
    if (huge_notice) {
      header.kind = FrameKind::kNotice;
      header.bytes = Transport::kMaxNoticeBytes + 1;
    } else {
      header.magic ^= 1;
    }
    REQUIRE(::write(writer.get(), &header, sizeof(header)) == sizeof(header));
    SocketStream stream(GuardedFd{UniqueFd{ends[1]}});
    Inbox inbox(7);
    RecordingSink sink;
    const Pumped pumped = inbox.pump(stream, sink);
    CHECK(pumped.failure.code() == StatusCode::kPeerLost);
  }
}

TEST_CASE("tcp: frames survive being cut anywhere") {
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
  const UniqueFd reader{ends[1]};
  RecordingSink sink;
  sink.in_progress = true;
  Outbox outbox;
  Inbox inbox(3);
  const Envelope mine = envelope(1);
  std::vector<Bytes> data;
  std::vector<Bytes> got;
  for (unsigned i = 0; i < 40; ++i) {
    data.push_back(pattern(i, (i * 37) % 101));
    got.emplace_back(data.back().size());
  }
  for (unsigned i = 0; i < 40; ++i) {
    outbox.push_data({data[i].data(), data[i].size(), i, &mine}, i);
    if (i % 7 == 0) outbox.push_notice(data[i]);
    inbox.post({got[i].data(), got[i].size(), i, &mine}, 100 + i);
  }
  // Everything goes into a pipe whole and comes out byte by byte.
  SocketStream whole(GuardedFd{UniqueFd{ends[0]}});
  REQUIRE(outbox.pump(whole, sink).failure.ok());
  while (!outbox.empty()) REQUIRE(outbox.pump(whole, sink).moved);
  int cut[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, cut) == 0);
  const UniqueFd cut_writer{cut[0]};
  SocketStream bytewise(GuardedFd{UniqueFd{cut[1]}});
  for (char c = 0; ::read(reader.get(), &c, 1) == 1;) {
    REQUIRE(::write(cut_writer.get(), &c, 1) == 1);
    bytewise.on_event(false);
    REQUIRE(inbox.pump(bytewise, sink).failure.ok());
  }
  CHECK(got == data);
  CHECK(sink.completed.size() == 80);
  CHECK(sink.notices.size() == 6);
  CHECK(sink.faults == std::vector<std::string>{});
}

TEST_CASE("tcp: a peer that is alive but does not read is not taken for dead") {
  World world = connected_world("tcp", 2);
  const Bytes data = pattern(1, 40 * 1024 * 1024);
  REQUIRE(world[0]->send(1, data, 1, 1).ok());
  settle(world);
  CHECK(world[0]->sink.closed.empty());
  CHECK_FALSE(world[0]->sink.is_complete(1));
}

TEST_CASE("congestion control: as asked for, or cubic in place of bbr") {
  const UniqueFd socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  const std::string usual = congestion_of(socket.get());
  REQUIRE_FALSE(usual.empty());
  CHECK(choose_congestion("reno").value() == "reno");  // every kernel has it
  CHECK(choose_congestion(usual).value() == usual);
  CHECK(choose_congestion("").value().empty());
  const std::string chosen = choose_congestion("auto").value();
  if (usual.starts_with("bbr") && set_congestion(socket.get(), "cubic")) {
    CHECK(chosen == "cubic");
  } else {
    CHECK(chosen.empty());
  }

  CHECK(set_congestion(socket.get(), "reno"));
  CHECK(congestion_of(socket.get()) == "reno");
  CHECK(set_congestion(socket.get(), ""));
  CHECK(congestion_of(socket.get()) == "reno");
  CHECK_FALSE(set_congestion(socket.get(), "pigeons"));
}

TEST_CASE("a congestion control that there is not ends the start, with the names there are") {
  const auto transport = make_transport("tcp", {.self = 0, .tcp_congestion = "pigeons"}).value();
  const auto address = transport->listen();
  CHECK(address.status().code() == StatusCode::kConfig);
  const doctest::String message = address.status().message().c_str();
  CHECK(message == doctest::Contains("SMDDP_TCP_CONGESTION=pigeons: this process cannot have it"));
  CHECK(message == doctest::Contains("reno"));
}

}  // namespace
}  // namespace smddp::test
