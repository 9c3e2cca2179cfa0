#include "topology/placement.h"

#include <vector>

#include <doctest/doctest.h>

using smddp::Placement;
using smddp::Rank;

TEST_CASE("hosts are numbered by their lowest rank, local ranks ascend") {
  const Placement placement({7, -3, 7, 40, -3, 7});
  CHECK(placement.world() == 6);
  CHECK(placement.hosts() == 3);
  CHECK(placement.ranks_on(0) == std::vector<Rank>{0, 2, 5});
  CHECK(placement.ranks_on(1) == std::vector<Rank>{1, 4});
  CHECK(placement.ranks_on(2) == std::vector<Rank>{3});
  CHECK(placement.ranks_on_smallest_host() == 1);
  const std::vector<int> hosts{0, 1, 0, 2, 1, 0};
  const std::vector<int> locals{0, 0, 1, 0, 1, 2};
  for (Rank rank = 0; rank < placement.world(); ++rank) {
    CHECK(placement.host_of(rank) == hosts[static_cast<std::size_t>(rank)]);
    CHECK(placement.local_rank(rank) == locals[static_cast<std::size_t>(rank)]);
  }
}

TEST_CASE("one host holds all ranks in order") {
  const Placement placement = Placement::one_host(5);
  CHECK(placement.hosts() == 1);
  CHECK(placement.ranks_on(0) == std::vector<Rank>{0, 1, 2, 3, 4});
  CHECK(placement.ranks_on_smallest_host() == 5);
}

TEST_CASE("labels do not matter, only which of them are equal") {
  CHECK(Placement({1, 1, 2}) == Placement({9, 9, 4}));
  CHECK_FALSE(Placement({1, 1, 2}) == Placement({1, 2, 2}));
  CHECK(Placement({5, 5}) == Placement::one_host(2));
}
