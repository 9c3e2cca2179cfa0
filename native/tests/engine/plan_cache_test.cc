#include "engine/plan_cache.h"

#include <doctest/doctest.h>

namespace smddp {
namespace {

Request all_reduce(std::size_t count) {
  return Request{.collective = Collective::kAllReduce, .root = -1, .count = count};
}

TEST_CASE("a plan is made once and found again") {
  PlanCache cache;
  Group group;
  group.placement = Placement::one_host(2);
  const Plan* const first = &cache.get(all_reduce(3), group);
  CHECK(first->steps.at(0).native.in.count == 3);
  CHECK(cache.get(all_reduce(4), group).steps.at(0).native.in.count == 4);
  CHECK(&cache.get(all_reduce(3), group) == first);
}

TEST_CASE("every plan is right, however many there are, and those used last stay") {
  PlanCache cache;
  Group group;
  group.placement = Placement::one_host(2);
  const Plan* const kept = &cache.get(all_reduce(1), group);
  for (std::size_t count = 2; count < 300; ++count) {
    CHECK(cache.get(all_reduce(count), group).steps.at(0).native.in.count == count);
    CHECK(&cache.get(all_reduce(1), group) == kept);
  }
  CHECK(cache.get(all_reduce(2), group).steps.at(0).native.in.count == 2);
}

}  // namespace
}  // namespace smddp
