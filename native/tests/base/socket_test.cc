#include "base/socket.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>
#include <utility>

#include <doctest/doctest.h>

#include "base/auth.h"

namespace smddp {
namespace {

Deadline soon() { return Deadline::after(std::chrono::seconds{20}); }
Deadline moment() { return Deadline::after(std::chrono::milliseconds{30}); }
Deadline past() { return Deadline::after(std::chrono::seconds{0}); }

/// A name that no other run of this test uses at the same time.
std::string unique_name() { return "smddp-test-" + to_hex(random_bytes(8)); }

struct Pair {
  UniqueFd client;
  UniqueFd server;
};

Pair tcp_pair() {
  auto listener = listen_tcp("127.0.0.1", 0);
  REQUIRE(listener.ok());
  auto client = connect_tcp("127.0.0.1", local_port(listener.value().get()).value(), soon());
  REQUIRE(client.ok());
  auto server = accept_connection(listener.value().get(), soon());
  REQUIRE(server.ok());
  return {std::move(client).value(), std::move(server).value()};
}

void check_flags(int fd) {
  CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
  CHECK((::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
}

std::string pattern(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 7 + i / 251);
  return bytes;
}

void check_exchange(const Pair& pair) {
  check_flags(pair.client.get());
  check_flags(pair.server.get());
  // Larger than any socket buffer, so both directions have to wait for each other.
  const std::string payload = pattern(8 << 20);
  std::thread sender([&] { CHECK(send_frame(pair.client.get(), payload, soon()).ok()); });
  const auto received = recv_frame(pair.server.get(), payload.size(), soon());
  sender.join();
  REQUIRE(received.ok());
  CHECK((received.value() == payload));
  REQUIRE(send_frame(pair.server.get(), "", soon()).ok());
  const auto empty = recv_frame(pair.client.get(), 0, soon());
  REQUIRE(empty.ok());
  CHECK(empty.value().empty());
}

TEST_CASE("socket: tcp connects, carries frames, closes on exec") { check_exchange(tcp_pair()); }

TEST_CASE("socket: abstract connects, carries frames, closes on exec") {
  const std::string name = unique_name() + std::string("\0\xff", 2);
  auto listener = listen_abstract(name);
  REQUIRE(listener.ok());
  check_flags(listener.value().get());
  auto client = connect_abstract(name, soon());
  REQUIRE(client.ok());
  auto server = accept_connection(listener.value().get(), soon());
  REQUIRE(server.ok());
  check_exchange({std::move(client).value(), std::move(server).value()});
}

TEST_CASE("socket: connecting waits for a listener that comes later") {
  const std::string name = unique_name();
  Result<UniqueFd> connected = Status::again();
  std::thread client([&] { connected = connect_abstract(name, soon()); });
  auto listener = listen_abstract(name);
  REQUIRE(listener.ok());
  CHECK(accept_connection(listener.value().get(), soon()).ok());
  client.join();
  CHECK(connected.ok());
}

TEST_CASE("socket: tcp connecting waits for a listener that comes later") {
  // Bound but not listening: the port stays ours and refuses until listen(2).
  const UniqueFd listener{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  sockaddr_in any_port{};
  any_port.sin_family = AF_INET;
  any_port.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&any_port), sizeof(any_port)) ==
          0);
  const std::uint16_t port = local_port(listener.get()).value();

  CHECK(connect_tcp("localhost", port, moment()).status().code() == StatusCode::kTimeout);
  Result<UniqueFd> connected = Status::again();
  std::thread client([&] { connected = connect_tcp("localhost", port, soon()); });
  REQUIRE(::listen(listener.get(), 1) == 0);
  CHECK(accept_connection(listener.get(), soon()).ok());
  client.join();
  CHECK(connected.ok());
}

TEST_CASE(
    "socket: nobody listens, nobody connects, nobody sends: a time-out that names the place") {
  auto listener = listen_tcp("127.0.0.1", 0);
  REQUIRE(listener.ok());
  const std::uint16_t port = local_port(listener.value().get()).value();
  CHECK(accept_connection(listener.value().get(), moment()).status().code() ==
        StatusCode::kTimeout);
  CHECK(accept_connection(listener.value().get(), past()).status().code() == StatusCode::kTimeout);
  listener.value().reset();

  const auto refused = connect_tcp("127.0.0.1", port, moment());
  CHECK(refused.status().code() == StatusCode::kTimeout);
  CHECK(refused.status().message().find("127.0.0.1:" + std::to_string(port)) != std::string::npos);

  const std::string name = unique_name();
  const auto absent = connect_abstract(name, moment());
  CHECK(absent.status().code() == StatusCode::kTimeout);
  CHECK(absent.status().message().find(name) != std::string::npos);

  const Pair pair = tcp_pair();
  const auto silent = recv_frame(pair.client.get(), 10, moment());
  CHECK(silent.status().code() == StatusCode::kTimeout);
  CHECK(silent.status().message().find("127.0.0.1:") != std::string::npos);
  CHECK(send_frame(pair.client.get(), pattern(64 << 20), moment()).code() == StatusCode::kTimeout);
}

TEST_CASE("socket: a passed deadline still takes what is there at once") {
  const Pair pair = tcp_pair();
  REQUIRE(send_frame(pair.client.get(), "here", past()).ok());
  std::byte first;
  REQUIRE(recv_all(pair.server.get(), {&first, 1}, soon()).ok());  // it has arrived
  CHECK(first == std::byte{4});
  std::string rest(7, '\0');
  CHECK(recv_all(pair.server.get(), std::as_writable_bytes(std::span(rest)), past()).ok());
  CHECK(rest.substr(3) == "here");
}

TEST_CASE("socket: a peer that leaves is kPeerLost in both directions") {
  Pair pair = tcp_pair();
  pair.client.reset();
  const auto received = recv_frame(pair.server.get(), 10, soon());
  CHECK(received.status().code() == StatusCode::kPeerLost);
  CHECK(received.status().message().find("127.0.0.1:") != std::string::npos);
  const std::string bytes = pattern(1000);
  Status sent;
  while (sent.ok()) sent = send_all(pair.server.get(), std::as_bytes(std::span(bytes)), soon());
  CHECK(sent.code() == StatusCode::kPeerLost);

  Pair half = tcp_pair();
  const std::string announced("\x09\0\0\0only", 8);
  REQUIRE(send_all(half.client.get(), std::as_bytes(std::span(announced)), soon()).ok());
  half.client.reset();
  CHECK(recv_frame(half.server.get(), 10, soon()).status().code() == StatusCode::kPeerLost);
}

TEST_CASE("socket: a frame longer than allowed is refused before its bytes are read") {
  const Pair pair = tcp_pair();
  REQUIRE(send_frame(pair.client.get(), "twelve bytes", soon()).ok());
  CHECK(recv_frame(pair.server.get(), 11, soon()).status().code() == StatusCode::kInvalidArgument);
}

TEST_CASE("socket: bad arguments say so") {
  CHECK(listen_tcp("not an address", 0).status().code() == StatusCode::kInvalidArgument);
  CHECK(listen_abstract("").status().code() == StatusCode::kInvalidArgument);
  CHECK(listen_abstract(std::string(101, 'x')).status().code() == StatusCode::kInvalidArgument);
  CHECK(connect_abstract("", soon()).status().code() == StatusCode::kInvalidArgument);

  auto first = listen_tcp("127.0.0.1", 0);
  REQUIRE(first.ok());
  const std::uint16_t port = local_port(first.value().get()).value();
  const auto second = listen_tcp("127.0.0.1", port);
  CHECK(second.status().code() == StatusCode::kSystem);
  CHECK(second.status().message().find("127.0.0.1:" + std::to_string(port)) != std::string::npos);
}

}  // namespace
}  // namespace smddp
