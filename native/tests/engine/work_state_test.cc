#include "engine/work_state.h"

#include <thread>

#include <doctest/doctest.h>

namespace smddp {
namespace {

using std::chrono::milliseconds;

TEST_CASE("a waiter wakes with the outcome") {
  const auto state = std::make_shared<WorkState>(Request{}, Deadline::never());
  std::thread finisher{[state] { state->finish(Status{StatusCode::kTimeout, "late"}); }};
  CHECK(state->wait(Deadline::after(std::chrono::seconds{20})));
  CHECK(state->outcome().code() == StatusCode::kTimeout);
  finisher.join();
}

TEST_CASE("waiting gives up at its deadline and may be repeated") {
  WorkState state{Request{}, Deadline::never()};
  CHECK_FALSE(state.wait(Deadline::after(milliseconds{5})));
  CHECK_FALSE(state.is_done());
  state.finish(Status{});
  CHECK(state.wait(Deadline::after(milliseconds{5})));
}

TEST_CASE("several waiters all wake") {
  const auto state = std::make_shared<WorkState>(Request{}, Deadline::never());
  std::vector<std::thread> waiters;
  std::atomic<int> woken{0};
  for (int i = 0; i < 4; ++i) {
    waiters.emplace_back(
        [&] { woken += state->wait(Deadline::after(std::chrono::seconds{20})) ? 1 : 0; });
  }
  state->finish(Status{});
  for (std::thread& waiter : waiters) waiter.join();
  CHECK(woken == 4);
}

}  // namespace
}  // namespace smddp
