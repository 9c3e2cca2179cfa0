#include "base/auth.h"

#include <sys/socket.h>

#include <chrono>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include <doctest/doctest.h>

#include "base/handshake.h"
#include "base/socket.h"
#include "base/unique_fd.h"

namespace smddp {
namespace {

Deadline soon() { return Deadline::after(std::chrono::seconds{20}); }

std::pair<UniqueFd, UniqueFd> connected_pair() {
  int fds[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
  return {UniqueFd{fds[0]}, UniqueFd{fds[1]}};
}

struct Outcome {
  Status server;
  Status client;
};

struct Side {
  std::string secret;
  std::string context;
};

/// Runs both sides; each closes its end as soon as it is done, as the
/// contract asks after a failure.
Outcome authenticate(const Side& server, const Side& client) {
  auto [server_fd, client_fd] = connected_pair();
  Outcome outcome;
  std::thread thread([&, fd = std::move(server_fd)]() mutable {
    outcome.server = authenticate_server(fd.get(), server.secret, server.context, soon());
    if (!outcome.server.ok()) fd.reset();
  });
  outcome.client = authenticate_client(client_fd.get(), client.secret, client.context, soon());
  client_fd.reset();
  thread.join();
  return outcome;
}

TEST_CASE("auth: both sides with the same secret and context agree") {
  const Outcome outcome = authenticate({"job secret", "group 7"}, {"job secret", "group 7"});
  CHECK(outcome.server.ok());
  CHECK(outcome.client.ok());
}

TEST_CASE("auth: another secret or context is refused on both sides") {
  for (const Side& client : {Side{"other secret", "group 7"}, Side{"job secret", "group 8"},
                             Side{"", "group 7"}, Side{"job secret", ""}}) {
    const Outcome outcome = authenticate({"job secret", "group 7"}, client);
    CHECK(outcome.server.code() == StatusCode::kInvalidArgument);
    CHECK(outcome.client.code() == StatusCode::kInvalidArgument);
  }
}

TEST_CASE("auth: a server that does not know the secret is refused") {
  auto [server, client] = connected_pair();
  std::thread thread([&] {
    // It may answer whatever it likes, for example the client's own proof.
    const ServerHandshake impostor{"guess", "group"};
    CHECK(send_all(server.get(), std::as_bytes(std::span(impostor.challenge())), soon()).ok());
    std::string answer(kAnswerBytes, '\0');
    CHECK(recv_all(server.get(), std::as_writable_bytes(std::span(answer)), soon()).ok());
    const std::string echoed = answer.substr(kAnswerBytes - kProofBytes);
    CHECK(send_all(server.get(), std::as_bytes(std::span(echoed)), soon()).ok());
  });
  CHECK(authenticate_client(client.get(), "secret", "group", soon()).code() ==
        StatusCode::kInvalidArgument);
  thread.join();
}

TEST_CASE("auth: something that is not smddp is refused without a proof") {
  auto [server, client] = connected_pair();
  const std::string greeting = "220 mail.example.org ESMTP ready, how may I help you today?";
  REQUIRE(send_all(server.get(), std::as_bytes(std::span(greeting)), soon()).ok());
  CHECK(authenticate_client(client.get(), "secret", "group", soon()).code() ==
        StatusCode::kInvalidArgument);
  client.reset();
  std::byte byte;
  CHECK(recv_all(server.get(), {&byte, 1}, soon()).code() ==
        StatusCode::kPeerLost);  // nothing was sent
}

TEST_CASE("auth: silence ends at the deadline, on either side") {
  auto [server, client] = connected_pair();
  const auto moment = Deadline::after(std::chrono::milliseconds{30});
  CHECK(authenticate_client(client.get(), "secret", "group", moment).code() ==
        StatusCode::kTimeout);
  CHECK(authenticate_server(server.get(), "secret", "group", moment).code() ==
        StatusCode::kTimeout);
}

TEST_CASE("auth: a server that goes away is no refusal") {
  auto [server, client] = connected_pair();
  std::thread thread([fd = std::move(server)]() mutable {
    const ServerHandshake handshake{"secret", "group"};
    CHECK(send_all(fd.get(), std::as_bytes(std::span(handshake.challenge())), soon()).ok());
    std::string answer(kAnswerBytes, '\0');
    CHECK(recv_all(fd.get(), std::as_writable_bytes(std::span(answer)), soon()).ok());
    fd.reset();
  });
  CHECK(authenticate_client(client.get(), "secret", "group", soon()).code() ==
        StatusCode::kPeerLost);
  thread.join();
}

TEST_CASE("auth: the contexts and nonces of a proof cannot be shifted into each other") {
  const ServerHandshake server{"secret", "ab"};
  ClientHandshake client{"secret", "a"};
  auto answer = client.answer(server.challenge());
  REQUIRE(answer.ok());
  CHECK_FALSE(server.check(answer.value()).ok());
  CHECK_FALSE(server.check(answer.value() + "b").ok());
  CHECK_FALSE(server.check("").ok());
}

TEST_CASE("random_bytes: the size asked for, never twice the same") {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    const std::string bytes = random_bytes(32);
    CHECK(bytes.size() == 32);
    seen.insert(bytes);
  }
  CHECK(seen.size() == 100);
  CHECK(random_bytes(0).empty());
  CHECK(random_bytes(1000).size() == 1000);
}

TEST_CASE("to_hex") {
  CHECK(to_hex("") == "");
  CHECK(to_hex(std::string("\0\x1f\xa0\xff", 4)) == "001fa0ff");
}

}  // namespace
}  // namespace smddp
