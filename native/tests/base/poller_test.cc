#include "base/poller.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <thread>

#include <doctest/doctest.h>

namespace smddp {
namespace {

using std::chrono::milliseconds;
using Clock = Deadline::Clock;

UniqueFd make_event() { return UniqueFd{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)}; }

void ring(const UniqueFd& event) {
  const std::uint64_t one = 1;
  REQUIRE(::write(event.get(), &one, sizeof(one)) == sizeof(one));
}

milliseconds slept(Poller& poller, Deadline deadline) {
  const auto begin = Clock::now();
  poller.sleep(deadline);
  return std::chrono::duration_cast<milliseconds>(Clock::now() - begin);
}

TEST_CASE("a poller sleeps to its deadline, but never longer than a second") {
  Poller poller = Poller::open().value();
  CHECK(slept(poller, Deadline::after(milliseconds(30))) >= milliseconds(30));
  CHECK(slept(poller, Deadline::after(milliseconds(-5))) < milliseconds(500));
  const milliseconds longest = slept(poller, Deadline::never());
  CHECK(longest >= milliseconds(990));
  CHECK(longest < milliseconds(5000));
}

TEST_CASE("an event before the sleep ends it, and only one sleep per event") {
  Poller poller = Poller::open().value();
  const UniqueFd event = make_event();
  REQUIRE(poller.add(event.get()).ok());
  poller.sleep(Deadline::after(milliseconds(0)));  // a new descriptor reports its state once
  for (int round = 0; round < 3; ++round) {
    ring(event);  // never read: each ring is an event of its own
    CHECK(slept(poller, Deadline::after(milliseconds(900))) < milliseconds(500));
    CHECK(slept(poller, Deadline::after(milliseconds(30))) >= milliseconds(30));
  }
}

TEST_CASE("an event during the sleep ends it") {
  Poller poller = Poller::open().value();
  const UniqueFd event = make_event();
  REQUIRE(poller.add(event.get()).ok());
  std::atomic<int> heard{0};
  std::thread ringer([&] {
    for (int round = 0; round < 1000; ++round) {
      const std::uint64_t one = 1;
      if (::write(event.get(), &one, sizeof(one)) < 0) return;
      const Deadline patience = Deadline::after(std::chrono::seconds(20));
      while (heard.load() <= round && !patience.passed()) std::this_thread::yield();
    }
  });
  const auto begin = Clock::now();
  while (heard.load() < 1000) {
    poller.sleep(Deadline::never());
    std::uint64_t rings = 0;
    if (::read(event.get(), &rings, sizeof(rings)) == sizeof(rings))
      heard += static_cast<int>(rings);
    if (Clock::now() - begin > std::chrono::seconds(20)) break;
  }
  CHECK(heard.load() == 1000);
  heard = 1000;
  ringer.join();
  CHECK(Clock::now() - begin < std::chrono::seconds(10));
}

TEST_CASE("the end of a connection is an event, a removed descriptor is silent") {
  Poller poller = Poller::open().value();
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  const UniqueFd ours{ends[0]};
  UniqueFd theirs{ends[1]};
  const UniqueFd removed = make_event();
  REQUIRE(poller.add(ours.get()).ok());
  REQUIRE(poller.add(removed.get()).ok());
  CHECK_FALSE(poller.add(ours.get()).ok());
  CHECK_FALSE(poller.add(-1).ok());
  poller.sleep(Deadline::after(milliseconds(0)));
  poller.remove(removed.get());
  ring(removed);
  CHECK(slept(poller, Deadline::after(milliseconds(30))) >= milliseconds(30));
  theirs.reset();
  CHECK(slept(poller, Deadline::after(milliseconds(900))) < milliseconds(500));
}

TEST_CASE("a signal ends the sleep") {
  struct sigaction action{};
  struct sigaction before{};
  action.sa_handler = [](int) {};
  REQUIRE(::sigaction(SIGUSR1, &action, &before) == 0);
  Poller poller = Poller::open().value();
  std::atomic<bool> done{false};
  milliseconds time{0};
  std::thread sleeper([&] {
    time = slept(poller, Deadline::never());
    done = true;
  });
  // Sent until it has worked, because it may come before the sleep.
  while (!done.load()) {
    ::pthread_kill(sleeper.native_handle(), SIGUSR1);
    std::this_thread::yield();
  }
  sleeper.join();
  CHECK(time < milliseconds(900));
  ::sigaction(SIGUSR1, &before, nullptr);
}

}  // namespace
}  // namespace smddp
