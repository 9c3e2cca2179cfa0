// Activities that share resources: rates that were computed by hand.
#include "simulate/fluid.h"

#include <cmath>
#include <map>
#include <vector>

#include <doctest/doctest.h>

namespace smddp {
namespace {

/// Runs to the end; the time of each token.
std::map<Fluid::Token, double> ends_of(Fluid& fluid) {
  std::map<Fluid::Token, double> ends;
  for (double time = fluid.next_end(); !std::isinf(time); time = fluid.next_end()) {
    std::vector<Fluid::Token> ended;
    fluid.advance(time, ended);
    for (const Fluid::Token token : ended) ends[token] = time;
  }
  return ends;
}

TEST_CASE("one activity has all of its resource") {
  Fluid fluid;
  const std::size_t kind = fluid.add_kind({{fluid.add_resource(100), 1}}, 100);
  fluid.start(kind, 250, 7);
  CHECK(ends_of(fluid)[7] == doctest::Approx(2.5));
}

TEST_CASE("two activities share a resource until the shorter one ends") {
  Fluid fluid;
  const std::size_t resource = fluid.add_resource(100);
  const std::size_t one = fluid.add_kind({{resource, 1}}, 100);
  const std::size_t other = fluid.add_kind({{resource, 1}}, 100);
  fluid.start(one, 100, 1);
  fluid.start(other, 300, 2);
  const auto ends = ends_of(fluid);
  CHECK(ends.at(1) == doctest::Approx(2));
  CHECK(ends.at(2) == doctest::Approx(4));
}

TEST_CASE("what a slower activity leaves goes to the others") {
  Fluid fluid;
  const std::size_t wide = fluid.add_resource(100);
  const std::size_t narrow = fluid.add_resource(20);
  const std::size_t slow = fluid.add_kind({{wide, 1}, {narrow, 1}}, 100);
  const std::size_t fast = fluid.add_kind({{wide, 1}}, 100);
  fluid.start(slow, 200, 1);
  fluid.start(fast, 800, 2);
  const auto ends = ends_of(fluid);
  CHECK(ends.at(1) == doctest::Approx(10));
  CHECK(ends.at(2) == doctest::Approx(10));
}

TEST_CASE("activities of one kind that begin at different times end where they have to") {
  Fluid fluid;
  const std::size_t kind = fluid.add_kind({{fluid.add_resource(10), 1}}, 10);
  fluid.start(kind, 100, 1);
  std::vector<Fluid::Token> ended;
  fluid.advance(4, ended);  // 60 left
  fluid.start(kind, 20, 2);
  CHECK(ended.empty());
  const auto ends = ends_of(fluid);
  CHECK(ends.at(2) == doctest::Approx(8));
  CHECK(ends.at(1) == doctest::Approx(12));
}

TEST_CASE("many senders make a contended resource slower") {
  Fluid fluid;
  const std::size_t resource = fluid.add_resource(100, {.penalty = 0.1});
  const std::size_t kind = fluid.add_kind({{resource, 1}}, 100);
  for (Fluid::Token token = 0; token < 5; ++token) fluid.start(kind, 20, token);
  for (const auto& [token, end] : ends_of(fluid)) CHECK(end == doctest::Approx(1.4));
  const std::size_t copied = fluid.add_resource(100, {.penalty = 0.1, .copies = 5});
  fluid.start(fluid.add_kind({{copied, 1}}, 100), 100, 9);
  CHECK(ends_of(fluid).at(9) == doctest::Approx(1.4 + 1.4));
}

TEST_CASE("nothing takes no time, and ends") {
  Fluid fluid;
  const std::size_t kind = fluid.add_kind({{fluid.add_resource(100), 1}}, 100);
  fluid.start(kind, 0, 1);
  CHECK(ends_of(fluid).at(1) == 0);
  CHECK(std::isinf(fluid.next_end()));
}

}  // namespace
}  // namespace smddp
