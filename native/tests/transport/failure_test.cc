#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "base/fork_guard.h"
#include "transport/harness.h"

namespace smddp::test {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::size_t kHuge = 40 * 1024 * 1024;

void check_sound(const TestRank& rank) { CHECK(rank.sink.faults == std::vector<std::string>{}); }

TEST_CASE("a peer that leaves is reported once, after everything that it had sent") {
  for (const std::string& name : connectable_transports()) {
    CAPTURE(name);
    World world = connected_world(name, 3);
    const Bytes data = pattern(5, 1000);
    Bytes got(data.size());
    REQUIRE(world[1]->receive(0, got, 1, 1).ok());
    REQUIRE(world[0]->send(1, data, 1, 1).ok());
    world[0]->notice(1, "goodbye");
    REQUIRE(drive(world,
                  [&] { return world[0]->transport->flushed() && world[1]->sink.is_complete(1); }));
    world[0]->transport.reset();
    REQUIRE(drive(
        world, [&] { return world[1]->sink.closed.size() + world[2]->sink.closed.size() == 2; }));
    CHECK(got == data);
    REQUIRE(world[1]->sink.notices.size() == 1);
    CHECK(world[1]->sink.notices[0].second == "goodbye");
    CHECK(world[2]->sink.closed[0].first == 0);

    // Posting to it is still legal, stays without effect, and does not keep this rank from leaving.
    REQUIRE(world[1]->send(0, data, 2, 2).ok());
    REQUIRE(world[1]->receive(0, got, 2, 3).ok());
    world[1]->notice(0, "too late");
    settle(world);
    CHECK(world[1]->sink.completed.size() == 1);
    CHECK(world[1]->transport->flushed());

    // The others go on.
    REQUIRE(world[1]->send(2, data, 3, 4).ok());
    REQUIRE(world[2]->receive(1, got, 3, 4).ok());
    REQUIRE(drive(world,
                  [&] { return world[1]->sink.is_complete(4) && world[2]->sink.is_complete(4); }));
    check_sound(*world[1]);
    check_sound(*world[2]);
  }
}

TEST_CASE("a message whose send completed is not lost when its sender leaves") {
  for (const std::string& name : connectable_transports()) {
    CAPTURE(name);
    World world = connected_world(name, 2);
    const Bytes data = pattern(6, 5000);
    REQUIRE(world[0]->send(1, data, 1, 1).ok());
    // What the leaving rank has not read must not take its own message away.
    world[1]->notice(0, "unread");
    settle(world);
    world[1]->notice(0, "unread too");
    world[1]->progress();
    const bool was_sent = world[0]->sink.is_complete(1);
    world[0]->transport.reset();
    settle(world);
    if (was_sent) CHECK(world[1]->sink.closed.empty());
    Bytes got(data.size());
    REQUIRE(world[1]->receive(0, got, 1, 1).ok());
    REQUIRE(drive(world, [&] { return !world[1]->sink.closed.empty(); }));
    CHECK(world[1]->sink.is_complete(1) == was_sent);
    if (was_sent) CHECK(got == data);
    check_sound(*world[1]);
  }
}

TEST_CASE("a peer that leaves in the middle of huge messages is reported") {
  for (const std::string& name : connectable_transports()) {
    if (name == kRmaOfi || name == kRmaRailsOfi) continue;  // libfabric would crash: ofi/library.cc
    for (const bool survivor_sends : {true, false}) {
      CAPTURE(name);
      CAPTURE(survivor_sends);
      World world = connected_world(name, 2);
      const Bytes data = pattern(7, kHuge);
      Bytes got(kHuge);
      TestRank& leaver = *world[0];
      TestRank& survivor = *world[1];
      if (survivor_sends) {
        REQUIRE(survivor.send(0, data, 1, 1).ok());
        REQUIRE(leaver.receive(1, got, 1, 1).ok());
      } else {
        REQUIRE(leaver.send(1, data, 1, 1).ok());
        REQUIRE(survivor.receive(0, got, 1, 1).ok());
      }
      for (int round = 0; round < 3; ++round) {
        survivor.progress();
        leaver.progress();
      }
      leaver.transport.reset();
      REQUIRE(drive(world, [&] { return !survivor.sink.closed.empty(); }));
      settle(world);
      CHECK(survivor.sink.completed.empty());
      CHECK(survivor.transport->flushed());
      check_sound(survivor);
    }
  }
}

TEST_CASE(
    "a peer that leaves while its next message waits for a receive is reported to who sends to "
    "it") {
  for (const std::string& name : connectable_transports()) {
    CAPTURE(name);
    World world = connected_world(name, 2);
    const Bytes early = pattern(1, 100);
    REQUIRE(world[0]->send(1, early, 1, 1).ok());
    const Bytes data = pattern(2, kHuge);
    REQUIRE(world[1]->send(0, data, 1, 1).ok());
    settle(world);
    world[0]->transport.reset();
    REQUIRE(drive(world, [&] { return !world[1]->sink.closed.empty(); }));
    check_sound(*world[1]);
  }
}

TEST_CASE("abandoned steps touch nothing any more, and notices still pass") {
  for (const std::string& name : connectable_transports()) {
    CAPTURE(name);
    World world = connected_world(name, 2);
    // The buffers are gone right after `abandon`: the address sanitizer sees whoever touches them.
    auto data = std::make_unique<Bytes>(pattern(1, kHuge));
    auto got = std::make_unique<Bytes>(kHuge);
    auto unread = std::make_unique<Bytes>(pattern(2, kHuge));
    REQUIRE(world[0]->send(1, *data, 1, 1).ok());
    REQUIRE(world[0]->send(1, *data, 2, 2).ok());
    REQUIRE(world[1]->receive(0, *got, 1, 1).ok());
    REQUIRE(world[1]->send(0, *unread, 1, 3).ok());
    world[0]->notice(1, "before");
    world[0]->progress();
    world[1]->progress();
    world[0]->progress();
    for (auto& rank : world) rank->transport->abandon();
    data.reset();
    got.reset();
    unread.reset();
    world[0]->notice(1, "after 0");
    world[1]->notice(0, "after 1");
    REQUIRE(drive(world, [&] {
      return world[1]->sink.notices.size() == 2 && world[0]->sink.notices.size() == 1;
    }));
    REQUIRE(drive(
        world, [&] { return world[0]->transport->flushed() && world[1]->transport->flushed(); }));
    CHECK(world[0]->sink.completed.empty());
    CHECK(world[1]->sink.completed.empty());
    Bytes late(1);
    CHECK(world[0]->send(1, late, 3, 4).code() == StatusCode::kState);
    CHECK(world[0]->receive(1, late, 3, 4).code() == StatusCode::kState);
    world[0]->transport.reset();
    REQUIRE(drive(world, [&] { return !world[1]->sink.closed.empty(); }));
    check_sound(*world[1]);
  }
}

TEST_CASE("one side may abandon while the other does not know yet") {
  for (const std::string& name : connectable_transports()) {
    for (const bool inside_callback : {false, true}) {
      CAPTURE(name);
      CAPTURE(inside_callback);
      World world = connected_world(name, 2);
      TestRank& failed = *world[0];
      TestRank& other = *world[1];
      std::vector<Bytes> data;
      for (unsigned i = 0; i < 5; ++i) data.push_back(pattern(i, 100 + 300'000 * i));
      Bytes got(1000);
      for (unsigned i = 0; i < 5; ++i) REQUIRE(failed.send(1, data[i], i, i).ok());
      for (unsigned i = 0; i < 5; ++i) REQUIRE(other.send(0, data[i], i, i).ok());
      REQUIRE(failed.receive(1, got, 77, 77).ok());  // a mismatch
      const auto give_up = [&] {
        failed.sink.on_event = nullptr;
        failed.transport->abandon();
        failed.notice(1, "failed");
      };
      if (inside_callback) failed.sink.on_event = give_up;
      REQUIRE(drive(world, [&] {
        return !failed.sink.mismatches.empty() || !failed.sink.completed.empty();
      }));
      if (!inside_callback) give_up();
      // The other rank's data are thrown away, so its sends complete and it hears why.
      REQUIRE(drive(world, [&] { return other.sink.completed.size() == 5; }));
      other.transport->abandon();
      REQUIRE(
          drive(world, [&] { return !other.sink.notices.empty() && failed.transport->flushed(); }));
      CHECK(other.sink.notices[0].second == "failed");
      check_sound(failed);
      check_sound(other);
    }
  }
}

/// Rank 1 in a process of its own; `life` runs there once it is connected to rank 0.
class ChildRank {
 public:
  template <typename Life>
  ChildRank(const std::string& transport, TestRank& parent, Life life) {
    int to_child[2];
    int to_parent[2];
    REQUIRE(::pipe2(to_child, O_CLOEXEC) == 0);
    REQUIRE(::pipe2(to_parent, O_CLOEXEC) == 0);
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      ::close(to_child[1]);
      live(transport, UniqueFd{to_child[0]}, UniqueFd{to_parent[1]}, life);
    }
    ::close(to_child[0]);
    ::close(to_parent[1]);
    keep_alive_ = UniqueFd{to_child[1]};
    from_child_ = UniqueFd{to_parent[0]};
    const std::string mine = parent.transport->listen().value() + '\n';
    REQUIRE(::write(to_child[1], mine.data(), mine.size()) == static_cast<ssize_t>(mine.size()));
    const std::vector<PeerAddress> peers{{1, read_line(from_child_.get())}};
    const Status status = parent.transport->connect(peers, "secret", "world", soon());
    REQUIRE_MESSAGE(status.ok(), status.message());
    REQUIRE(parent.watch().ok());
  }
  ~ChildRank() { kill(); }
  ChildRank(const ChildRank&) = delete;
  ChildRank& operator=(const ChildRank&) = delete;

  std::string wait_for_line() { return read_line(from_child_.get()); }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  template <typename Life>
  [[noreturn]] static void live(const std::string& transport, UniqueFd in, UniqueFd out,
                                Life life) {
    ::alarm(60);  // a bound, whatever becomes of the test
    TestRank rank(transport, 1);
    const std::string mine = rank.transport->listen().value() + '\n';
    if (::write(out.get(), mine.data(), mine.size()) < 0) ::_exit(1);
    const std::vector<PeerAddress> peers{{0, read_line(in.get())}};
    if (!rank.transport->connect(peers, "secret", "world", soon()).ok()) ::_exit(1);
    life(rank, in.get(), out.get());
    for (;;) ::pause();
  }
  static std::string read_line(int fd) {
    std::string line;
    for (char c = 0; ::read(fd, &c, 1) == 1 && c != '\n';) line.push_back(c);
    return line;
  }

  pid_t pid_ = -1;
  UniqueFd keep_alive_;  ///< descendants of the child end when it is closed
  UniqueFd from_child_;
};

void say_ready(int out) {
  if (::write(out, "ready\n", 6) != 6) ::_exit(1);
}

/// Those whose ranks may be processes.
std::vector<std::string> transports_between_processes() {
  std::vector<std::string> names = connectable_transports();
  std::erase(names, "inproc");
  return names;
}

TEST_CASE("the death of a process is heard at once") {
  for (const std::string& name : transports_between_processes()) {
    CAPTURE(name);
    TestRank survivor(name, 0);
    ChildRank child(name, survivor, [](TestRank& rank, int, int out) {
      // Fills the sockets with the beginning of a message.
      const Bytes data = pattern(3, kHuge);
      if (!rank.send(0, data, 1, 1).ok()) ::_exit(1);
      while (rank.progress()) {
      }
      say_ready(out);
    });
    Bytes got(kHuge);
    REQUIRE(survivor.receive(1, got, 1, 1).ok());
    CHECK(child.wait_for_line() == "ready");
    child.kill();
    const auto begin = Deadline::Clock::now();
    REQUIRE(survivor.run_until([&] { return !survivor.sink.closed.empty(); }, soon()));
    CHECK(Deadline::Clock::now() - begin < std::chrono::seconds(2));
    CHECK(survivor.sink.completed.empty());
    check_sound(survivor);
  }
}

TEST_CASE("a forked child does not hide the death of its parent") {
  for (const std::string& name : transports_between_processes()) {
    CAPTURE(name);
    TestRank survivor(name, 0);
    ChildRank child(name, survivor, [](TestRank&, int in, int out) {
      set_fork_guard(true);
      if (::fork() == 0) {
        say_ready(out);
        char c = 0;
        while (::read(in, &c, 1) > 0) {
        }
        ::_exit(0);
      }
    });
    CHECK(child.wait_for_line() == "ready");
    child.kill();
    const auto begin = Deadline::Clock::now();
    REQUIRE(survivor.run_until([&] { return !survivor.sink.closed.empty(); }, soon()));
    CHECK(Deadline::Clock::now() - begin < std::chrono::seconds(2));
    check_sound(survivor);
  }
}

}  // namespace
}  // namespace smddp::test
