// Strangers, leaving and dying.

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/fork_guard.h"
#include "base/handshake.h"
#include "base/socket.h"
#include "bootstrap/store_support.h"

namespace smddp::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

UniqueFd stranger(const ServedStore& served) {
  auto fd = connect_tcp("127.0.0.1", served.server->port(), soon());
  REQUIRE(fd.ok());
  return std::move(fd).value();
}

void send_text(int fd, const std::string& text) {
  REQUIRE(send_all(fd, std::as_bytes(std::span(text)), soon()).ok());
}

/// Reads until the other side closes; fails when it does not.
void check_closed_by_server(int fd) {
  for (;;) {
    std::byte byte;
    const Status status = recv_all(fd, {&byte, 1}, soon());
    if (status.ok()) continue;
    CHECK(status.code() == StatusCode::kPeerLost);
    return;
  }
}

void check_serves(const ServedStore& served) {
  const std::string value = to_hex(random_bytes(4));
  REQUIRE(served.tcp_client()->set("alive", value, soon()).ok());
  CHECK(served.abstract_client()->get("alive", soon()).value() == value);
}

TEST_CASE("store server: silent strangers delay nobody and are dropped in the end") {
  StoreServerOptions options;
  options.handshake_patience = milliseconds{300};
  const ServedStore served(options);
  std::vector<UniqueFd> strangers;
  for (int i = 0; i < 100; ++i) strangers.push_back(stranger(served));
  check_serves(served);
  for (const UniqueFd& each : strangers) check_closed_by_server(each.get());
  check_serves(served);
}

TEST_CASE(
    "store server: more silent strangers than it has places for hold it up a second at most") {
  const ServedStore served;  // with ten seconds of patience while there is room
  std::vector<UniqueFd> strangers;
  for (int i = 0; i < 300; ++i) strangers.push_back(stranger(served));
  check_serves(served);
}

TEST_CASE("store server: garbage, half a handshake and a wrong secret are refused") {
  const ServedStore served;
  const auto garbage = stranger(served);
  send_text(garbage.get(),
            "GET / HTTP/1.1\r\nHost: example.org\r\nUser-Agent: a curious program\r\n\r\n");
  check_closed_by_server(garbage.get());

  auto half = stranger(served);
  send_text(half.get(), std::string(kAnswerBytes / 2, 'h'));
  half.reset();

  StoreClient wrong({.abstract_name = served.name}, "another secret");
  const Status refused = wrong.set("key", "value", soon());
  CHECK(refused.code() == StatusCode::kConfig);
  CHECK(contains(refused.message(), "SMDDP_JOB_SECRET"));
  check_serves(served);
}

/// A connection that has authenticated and can now break the rules.
UniqueFd insider(const ServedStore& served) {
  UniqueFd fd = stranger(served);
  REQUIRE(authenticate_client(fd.get(), served.secret, std::string(kStoreContext), soon()).ok());
  return fd;
}

TEST_CASE("store server: a client that breaks the rules loses its connection and nobody else's") {
  const ServedStore served;
  const auto loyal = served.abstract_client();
  REQUIRE(loyal->set("before", "1", soon()).ok());

  const std::string huge_length("\xff\xff\xff\xff", 4);
  const std::string no_request("\x03\0\0\0abc", 7);
  const std::string empty_frame("\0\0\0\0", 4);
  for (const std::string& bytes : {huge_length, no_request, empty_frame}) {
    const auto fd = insider(served);
    send_text(fd.get(), bytes);
    check_closed_by_server(fd.get());
  }

  // Speaking again before the answer.
  const auto impatient = insider(served);
  StoreRequest parked;
  parked.op = StoreOp::kGet;
  parked.key = "never set";
  REQUIRE(send_frame(impatient.get(), encode_request(parked), soon()).ok());
  REQUIRE(send_frame(impatient.get(), encode_request(parked), soon()).ok());
  check_closed_by_server(impatient.get());

  // Asking for something large and not taking it.
  REQUIRE(loyal->set("large", std::string(kMaxValueBytes, 'x'), soon()).ok());
  const auto deaf = insider(served);
  StoreRequest large = parked;
  large.key = "large";
  REQUIRE(send_frame(deaf.get(), encode_request(large), soon()).ok());
  CHECK(loyal->get("before", soon()).value() == "1");
  check_serves(served);
}

TEST_CASE("store server: any byte of a request may be wrong") {
  StoreRequest request;
  request.op = StoreOp::kSet;
  request.key = "key";
  request.value = "value";
  request.delta = -5;
  const std::string bytes = encode_request(request);
  const auto decoded = decode_request(bytes);
  REQUIRE(decoded.has_value());
  CHECK(decoded->key == "key");
  CHECK(decoded->value == "value");
  CHECK(decoded->delta == -5);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CHECK_FALSE(decode_request(std::string_view(bytes).substr(0, size)).has_value());
  }
  CHECK_FALSE(decode_request(bytes + "x").has_value());
  std::string other_op = bytes;
  other_op[0] = 4;
  CHECK_FALSE(decode_request(other_op).has_value());
}

TEST_CASE("store server: beyond its number of clients others wait for a place") {
  StoreServerOptions options;
  options.max_clients = 0;  // only the places of strangers are left: 256
  const ServedStore served(options);
  std::vector<std::unique_ptr<StoreClient>> clients;
  for (int i = 0; i < 256; ++i) {
    clients.push_back(served.abstract_client());
    REQUIRE(clients.back()->set("key", "value", soon()).ok());
  }
  const auto extra = served.abstract_client();
  CHECK_FALSE(extra->set("key", "extra", moment()).ok());
  clients.pop_back();
  CHECK(extra->set("key", "extra", soon()).ok());
}

TEST_CASE("store server: when it ends, waiting and later calls fail at once and say so") {
  for (const bool tcp : {false, true}) {
    CAPTURE(tcp);
    ServedStore served;
    const auto client = tcp ? served.tcp_client() : served.abstract_client();
    REQUIRE(client->set("key", "value", soon()).ok());
    std::thread waiting([&] {
      const auto got = client->get("never set", soon());
      CHECK(got.status().code() == StatusCode::kPeerLost);
      CHECK(contains(got.status().message(), "the store at rank 0"));
      CHECK(contains(got.status().message(), "is gone"));
    });
    served.server.reset();
    waiting.join();
    CHECK(client->set("key", "value", soon()).code() == StatusCode::kPeerLost);
    CHECK(client->get("key", past()).status().code() == StatusCode::kPeerLost);
    CHECK(client->add("count", 1, soon()).status().code() == StatusCode::kPeerLost);
  }
}

TEST_CASE("store server: stop serves those who are there and waits until they have left") {
  ServedStore served;
  auto client = served.abstract_client();
  REQUIRE(client->set("key", "value", soon()).ok());
  const auto began = std::chrono::steady_clock::now();
  std::thread stopping([&] { served.server->stop(Deadline::after(seconds{60})); });
  // New clients are turned away as soon as it stops.
  while (connect_abstract(served.name, past()).ok()) std::this_thread::yield();
  CHECK(client->get("key", soon()).value() == "value");
  CHECK(client->set("key", "still", soon()).ok());
  client.reset();
  stopping.join();
  CHECK(std::chrono::steady_clock::now() - began < seconds{30});
  served.server->stop(soon());  // again: nothing to do
}

TEST_CASE("store server: stop does not wait longer than its grace") {
  ServedStore served;
  const auto client = served.abstract_client();
  REQUIRE(client->set("key", "value", soon()).ok());
  served.server->stop(moment());
  CHECK(client->get("key", soon()).status().code() == StatusCode::kPeerLost);
}

TEST_CASE("store server: a port or name that is taken is one clear error") {
  const ServedStore served;
  StoreServerOptions options;
  options.abstract_name = served.name;
  const auto second = StoreServer::start(options);
  CHECK(second.status().code() == StatusCode::kConfig);
  CHECK(contains(second.status().message(), served.name));
  options.abstract_name = "";
  options.tcp_port = served.server->port();
  options.tcp_address = "127.0.0.1";
  const auto third = StoreServer::start(options);
  CHECK(third.status().code() == StatusCode::kConfig);
  CHECK(contains(third.status().message(), "127.0.0.1:" + std::to_string(served.server->port())));
}

TEST_CASE("store client: rank 0 that never starts is named") {
  StoreClient client({.abstract_name = unique_name()}, "secret");
  const Status status = client.set("key", "value", moment());
  CHECK(status.code() == StatusCode::kTimeout);
  CHECK(contains(status.message(), "rank 0"));
}

TEST_CASE(
    "store client: a program at the port that never speaks is a time-out that asks about it") {
  auto listener = listen_tcp("127.0.0.1", 0);
  REQUIRE(listener.ok());
  const std::uint16_t port = local_port(listener.value().get()).value();
  StoreClient client({.abstract_name = "", .host = "127.0.0.1", .port = port}, "secret");
  const Status status = client.set("key", "value", moment());
  CHECK(status.code() == StatusCode::kTimeout);
  CHECK(contains(status.message(), "another program"));
}

/// What a forked child finds; its exit status tells the parent. Nothing of
/// the parent's may be touched.
int child_verdict(std::unique_ptr<StoreClient>& client, ServedStore& served) {
  if (client->set("key", "from the child", soon()).code() != StatusCode::kState) return 1;
  if (client->get("key", soon()).status().code() != StatusCode::kState) return 2;
  client.reset();
  served.server->stop(soon());
  served.server.reset();
  return 0;
}

TEST_CASE("store: a forked child keeps no connection and every call there is one clear error") {
  set_fork_guard(true);
  ServedStore served;
  auto client = served.abstract_client();
  REQUIRE(client->set("key", "value", soon()).ok());
  int checked[2];
  int release[2];
  REQUIRE(::pipe(checked) == 0);
  REQUIRE(::pipe(release) == 0);

  const pid_t child = ::fork();
  if (child == 0) {
    const char verdict = static_cast<char>(child_verdict(client, served));
    if (::write(checked[1], &verdict, 1) != 1) ::_exit(90);
    ::close(release[1]);
    char byte;
    ::_exit(::read(release[0], &byte, 1) == 0 ? verdict : 91);  // lives until the parent lets go
  }
  REQUIRE(child > 0);
  char verdict = 99;
  CHECK(::read(checked[0], &verdict, 1) == 1);
  CHECK(verdict == 0);
  CHECK(client->get("key", soon()).value() ==
        "value");  // what the child did is nothing to its parent

  // The child lives. If it held the server's sockets, the client would wait in vain for the end.
  served.server.reset();
  CHECK(client->get("never set", soon()).status().code() == StatusCode::kPeerLost);
  for (const int fd : {release[0], release[1], checked[0], checked[1]}) ::close(fd);
  int status = 0;
  CHECK(::waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  set_fork_guard(false);
}

}  // namespace
}  // namespace smddp::test
