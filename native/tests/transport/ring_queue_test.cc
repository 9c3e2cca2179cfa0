#include "transport/ring_queue.h"

#include <deque>
#include <memory>
#include <random>

#include <doctest/doctest.h>

namespace smddp::test {
namespace {

TEST_CASE("a ring queue behaves like a deque") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  RingQueue<std::unique_ptr<int>> queue;
  std::deque<int> model;
  for (int i = 0; i < 5000; ++i) {
    if (random() % 5 < 3) {
      queue.push(std::make_unique<int>(i));
      model.push_back(i);
    } else if (!model.empty()) {
      REQUIRE(*queue.pop() == model.front());
      model.pop_front();
    }
    REQUIRE(queue.size() == model.size());
    if (model.empty()) continue;
    const std::size_t at = random() % model.size();
    REQUIRE(*queue[at] == model[at]);
    REQUIRE(*queue.front() == model.front());
  }
  queue.clear();
  CHECK(queue.empty());
}

}  // namespace
}  // namespace smddp::test
