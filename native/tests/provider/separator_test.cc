#include "provider/shm/separator.h"

#include <sched.h>

#include <doctest/doctest.h>

namespace smddp {
namespace {

/// Gives the calling thread its affinity mask back.
class MaskKeeper {
 public:
  MaskKeeper() { ::sched_getaffinity(0, sizeof(before_), &before_); }
  MaskKeeper(const MaskKeeper&) = delete;
  MaskKeeper& operator=(const MaskKeeper&) = delete;
  ~MaskKeeper() { ::sched_setaffinity(0, sizeof(before_), &before_); }

  const cpu_set_t& before() const { return before_; }
  int processors() const { return CPU_COUNT(&before_); }

 private:
  cpu_set_t before_{};
};

std::uint32_t first_of(const cpu_set_t& mask, std::uint32_t from = 0) {
  while (!CPU_ISSET(from, &mask)) ++from;
  return from;
}

TEST_CASE("a processor is better when it has at least two ranks less") {
  const MaskKeeper mask;
  const std::uint32_t own = first_of(mask.before());
  ProcessorLoad load;
  load.add(own);
  CHECK_FALSE(load.better_than(own).any());  // the thread is alone
  load.add(own);
  if (mask.processors() < 2) {
    MESSAGE("the rest needs two processors");
    return;
  }
  const auto target = load.better_than(own);
  REQUIRE(target.any());
  CHECK(target.first() != own);
  CHECK(CPU_ISSET(target.first(), &mask.before()));
}

TEST_CASE("two ranks on one processor and one on each other one stay where they are") {
  const MaskKeeper mask;
  ProcessorLoad load;
  for (std::uint32_t processor = 0; processor < CPU_SETSIZE; ++processor) load.add(processor);
  const std::uint32_t own = first_of(mask.before());
  load.add(own);
  CHECK_FALSE(load.better_than(own).any());
  load.add(CPU_SETSIZE);  // a processor that no mask can name
  CHECK_FALSE(load.better_than(CPU_SETSIZE).any());
}

TEST_CASE("processors outside the mask are left alone") {
  const MaskKeeper mask;
  const std::uint32_t own = first_of(mask.before());
  cpu_set_t only{};
  CPU_SET(own, &only);
  REQUIRE(::sched_setaffinity(0, sizeof(only), &only) == 0);
  ProcessorLoad load;
  for (int rank = 0; rank < 5; ++rank) load.add(own);
  CHECK_FALSE(load.better_than(own).any());
}

TEST_CASE("moving leaves the affinity mask as it was") {
  const MaskKeeper mask;
  std::uint32_t target = first_of(mask.before());
  for (int i = 1; i < mask.processors(); ++i) target = first_of(mask.before(), target + 1);
  RoomyProcessors there;
  there.add(target);
  CHECK(there.first() == target);
  there.move_here();
  cpu_set_t after;
  REQUIRE(::sched_getaffinity(0, sizeof(after), &after) == 0);
  CHECK(CPU_EQUAL(&after, &mask.before()));
}

TEST_CASE("moving leaves a mask that the user has set as it was") {
  const MaskKeeper mask;
  cpu_set_t own{};
  CPU_SET(first_of(mask.before()), &own);
  REQUIRE(::sched_setaffinity(0, sizeof(own), &own) == 0);
  RoomyProcessors there;
  there.add(first_of(mask.before()));
  there.move_here();
  cpu_set_t after;
  REQUIRE(::sched_getaffinity(0, sizeof(after), &after) == 0);
  CHECK(CPU_EQUAL(&after, &own));
}

TEST_CASE("a thread does not move again at once") {
  Separator separator;
  CHECK(separator.may_move());
  CHECK_FALSE(separator.may_move());
}

}  // namespace
}  // namespace smddp
