#include "engine/mpsc_queue.h"

#include <array>
#include <memory>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

namespace smddp {
namespace {

struct Item : MpscNode {
  int producer = 0;
  int number = 0;
};

TEST_CASE("an empty queue gives nothing, one element comes back") {
  MpscQueue<Item> queue;
  CHECK(queue.try_pop() == nullptr);
  Item item;
  queue.push(&item);
  CHECK(queue.try_pop() == &item);
  CHECK(queue.try_pop() == nullptr);
}

TEST_CASE("elements of each producer come out in its order, none is lost") {
  constexpr int kProducers = 4;
  constexpr int kItems = 5000;
  MpscQueue<Item> queue;
  std::vector<std::unique_ptr<std::array<Item, kItems>>> storage;
  for (int p = 0; p < kProducers; ++p)
    storage.push_back(std::make_unique<std::array<Item, kItems>>());
  std::vector<std::thread> producers;
  for (int p = 0; p < kProducers; ++p) {
    producers.emplace_back([&, p] {
      for (int n = 0; n < kItems; ++n) {
        Item& item = (*storage[static_cast<std::size_t>(p)])[static_cast<std::size_t>(n)];
        item.producer = p;
        item.number = n;
        queue.push(&item);
      }
    });
  }
  std::array<int, kProducers> next{};
  for (int received = 0; received < kProducers * kItems;) {
    const Item* item = queue.try_pop();
    if (item == nullptr) {
      std::this_thread::yield();
      continue;
    }
    REQUIRE(item->number == next[static_cast<std::size_t>(item->producer)]++);
    ++received;
  }
  for (std::thread& producer : producers) producer.join();
  CHECK(queue.try_pop() == nullptr);
}

}  // namespace
}  // namespace smddp
