#include "engine/host_link.h"

#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "base/auth.h"
#include "base/fd_passing.h"
#include "base/socket.h"
#include "engine/runtime_impl.h"

namespace smddp {
namespace {

/// Three ranks of one host, which people call 10, 11 and 12.
struct Host {
  Host() {
    for (Rank rank = 0; rank < 3; ++rank) {
      members.push_back(RankInfo{.rank = rank,
                                 .pid = ::getpid(),
                                 .host_name = "here",
                                 .abstract_name = "smddp-test-" + to_hex(random_bytes(8))});
    }
    listener = std::move(listen_abstract(members[0].abstract_name)).value();
  }

  HostLinkRequest request(int self) const {
    return {.members = members,
            .labels = {10, 11, 12},
            .self = self,
            .segment_bytes = 4096,
            .secret = "secret",
            .context = "test",
            .listening_fd = listener.get()};
  }

  Status link(int self, std::chrono::milliseconds patience) {
    Result<HostLink> linked = link_host(*runtime, request(self), Deadline::after(patience));
    return linked.ok() ? Status{} : linked.status();
  }

  std::shared_ptr<RuntimeImpl> runtime = RuntimeImpl::start(Config{}).value();
  std::vector<RankInfo> members;
  UniqueFd listener;
};

constexpr std::chrono::milliseconds kBrief{300};
constexpr std::chrono::milliseconds kLong{20'000};

TEST_CASE_FIXTURE(Host, "ranks of one host get linked") {
  std::vector<Status> ends(3);
  std::vector<std::thread> threads;
  for (int self = 0; self < 3; ++self)
    threads.emplace_back(
        [this, self, &ends] { ends[static_cast<std::size_t>(self)] = link(self, kLong); });
  for (std::thread& thread : threads) thread.join();
  for (const Status& end : ends) CHECK(end.message() == "");
}

TEST_CASE_FIXTURE(Host, "a rank that does not come is named on all others") {
  Status leader;
  Status member;
  std::thread leading{[&] { leader = link(0, kBrief); }};
  std::thread following{[&] { member = link(1, kBrief); }};
  leading.join();
  following.join();
  for (const Status& end : {leader, member}) {
    CAPTURE(end.message());
    CHECK(end.code() == StatusCode::kTimeout);
    CHECK(end.message().find("rank 12 (here") != std::string::npos);
    CHECK(end.message().find("rank 11") == std::string::npos);
  }
}

TEST_CASE_FIXTURE(Host, "a rank that dies while it is linked is named on all others") {
  Status leader;
  Status member;
  std::thread leading{[&] { leader = link(0, kLong); }};
  std::thread following{[&] { member = link(1, kLong); }};
  {
    // Rank 12 says who it is, and ends before it hands over its bell.
    const Deadline deadline = Deadline::after(kLong);
    const UniqueFd socket = std::move(connect_abstract(members[0].abstract_name, deadline)).value();
    REQUIRE(authenticate_client(socket.get(), "secret", "test", deadline).ok());
    REQUIRE(send_frame(socket.get(), "2 name", deadline).ok());
  }
  leading.join();
  following.join();
  for (const Status& end : {leader, member}) {
    CAPTURE(end.message());
    CHECK(end.code() == StatusCode::kPeerLost);
    CHECK(end.message().find("rank 12 (here") != std::string::npos);
  }
}

TEST_CASE_FIXTURE(Host, "a leader that dies is named") {
  Status member;
  std::thread following{[&] { member = link(1, kLong); }};
  const Deadline deadline = Deadline::after(kLong);
  {
    const UniqueFd socket = std::move(accept_connection(listener.get(), deadline)).value();
    REQUIRE(authenticate_server(socket.get(), "secret", "test", deadline).ok());
  }
  following.join();
  CAPTURE(member.message());
  CHECK(member.code() == StatusCode::kPeerLost);
  CHECK(member.message().find("rank 10 (here") != std::string::npos);
}

}  // namespace
}  // namespace smddp
