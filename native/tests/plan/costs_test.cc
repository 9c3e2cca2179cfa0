// What the cost model makes of a demand.
#include "plan/costs.h"

#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace smddp {
namespace {

Costs only_link(std::vector<LinkRate> link) {
  return {
      .hop = 0, .message = 0, .link = std::move(link), .reduce = 0, .native_step = 0, .native = 0};
}

TEST_CASE("every part of a demand has its price") {
  const Costs costs{.hop = 1e-3,
                    .message = 1e-4,
                    .link = {{kAnySize, 1e-6}},
                    .reduce = 1e-7,
                    .native_step = 1e-5,
                    .native = 1e-8};
  const Demand demand{.hops = 2,
                      .messages = 3,
                      .wire = 50,
                      .piece = 10,
                      .reduced = 70,
                      .native_steps = 5,
                      .native = 90};
  const double width = 8;
  CHECK(seconds(demand, DType::kFloat64, costs) ==
        doctest::Approx(2e-3 + 3e-4 + 50 * width * 1e-6 + 70 * width * 1e-7 + 5e-5 +
                        90 * width * 1e-8));
  CHECK(seconds(Demand{}, DType::kFloat64, costs) == 0);
}

TEST_CASE("the size of a message decides what its bytes cost; above the last size it stays") {
  const Costs costs = only_link({{100, 3e-6}, {1000, 2e-6}, {5000, 1e-6}});
  const auto time_of = [&](double piece) {
    return seconds({.wire = 10'000, .piece = piece}, DType::kUint8, costs);
  };
  CHECK(time_of(1) == doctest::Approx(0.03));
  CHECK(time_of(100) == doctest::Approx(0.03));
  CHECK(time_of(101) == doctest::Approx(0.02));
  CHECK(time_of(5000) == doctest::Approx(0.01));
  CHECK(time_of(9000) == doctest::Approx(0.01));
}

}  // namespace
}  // namespace smddp
