#include "base/fd_passing.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <utility>

#include <doctest/doctest.h>

namespace smddp {
namespace {

std::pair<UniqueFd, UniqueFd> connected_sockets() {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
  return {UniqueFd{ends[0]}, UniqueFd{ends[1]}};
}

ino_t inode(int fd) {
  struct stat facts{};
  REQUIRE(::fstat(fd, &facts) == 0);
  return facts.st_ino;
}

TEST_CASE("descriptors arrive in order, more than one message holds") {
  const auto [left, right] = connected_sockets();
  std::vector<UniqueFd> pipes;
  std::vector<int> sent;
  for (int i = 0; i < 150; ++i) {
    std::array<int, 2> ends{};
    REQUIRE(::pipe(ends.data()) == 0);
    pipes.emplace_back(ends[0]);
    pipes.emplace_back(ends[1]);
    sent.push_back(ends[0]);
  }
  const Deadline deadline = Deadline::after(std::chrono::seconds{10});
  REQUIRE(send_fds(left.get(), sent, deadline).ok());
  const Result<std::vector<UniqueFd>> received = recv_fds(right.get(), sent.size(), deadline);
  REQUIRE(received.ok());
  for (std::size_t i = 0; i < sent.size(); ++i)
    CHECK(inode(received.value()[i].get()) == inode(sent[i]));
}

TEST_CASE("a sender that goes away is an error, silence is a time-out") {
  auto [left, right] = connected_sockets();
  CHECK(recv_fds(right.get(), 1, Deadline::after(std::chrono::milliseconds{5})).status().code() ==
        StatusCode::kTimeout);
  left.reset();
  CHECK(recv_fds(right.get(), 1, Deadline::after(std::chrono::seconds{10})).status().code() ==
        StatusCode::kPeerLost);
}

TEST_CASE("a process descriptor becomes readable when the process dies") {
  const auto [left, right] = connected_sockets();
  CHECK(open_peer_pidfd(left.get()).ok());
  const Result<UniqueFd> own = open_own_pidfd();
  REQUIRE(own.ok());
  pollfd entry{.fd = own.value().get(), .events = POLLIN, .revents = 0};
  CHECK(::poll(&entry, 1, 0) == 0);
}

}  // namespace
}  // namespace smddp
