// Order of summation: which placements give the same bits.
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "plan/cases.h"
#include "plan/validation/symbolic_run.h"

using namespace smddp;
using namespace smddp::test;

namespace {

/// How each element of each rank's result was summed, written out: equal texts are equal bits.
std::vector<std::vector<std::string>> sums(const Case& the_case) {
  const Result<Outcome> outcome =
      run_symbolically(plans_of(the_case), the_case.specs, the_case.placement, false);
  REQUIRE(outcome.ok());
  std::vector<std::vector<std::string>> texts;
  for (const std::vector<Cell>& out : outcome.value().out) {
    texts.emplace_back();
    for (const Cell& cell : out) {
      texts.back().push_back(outcome.value().expressions.to_string(cell.value));
    }
  }
  return texts;
}

std::vector<CollectiveSpec> reductions(int world, std::size_t count) {
  CollectiveSpec spec;
  spec.op = ReduceOp::kAverage;
  spec.count = count;
  spec.counts.assign(static_cast<std::size_t>(world), count);
  std::vector<CollectiveSpec> all;
  for (const Collective collective :
       {Collective::kAllReduce, Collective::kReduce, Collective::kReduceScatter}) {
    spec.collective = collective;
    spec.root = collective == Collective::kReduce ? world - 1 : 0;
    all.push_back(spec);
  }
  return all;
}

/// By each algorithm that adds in the canonical order.
std::vector<Case> canonical_cases(const Placement& placement, const CollectiveSpec& spec) {
  std::vector<Case> cases;
  Case the_case = uniform(placement, spec);
  if (placement.hosts() == 1) return {the_case};
  for (const Algorithm* algorithm : algorithms()) {
    if (algorithm->collective != spec.collective || algorithm->order == SumOrder::kOther) continue;
    if (!algorithm->suits(spec, placement)) continue;
    the_case.algorithm = algorithm;
    cases.push_back(the_case);
  }
  return cases;
}

void check_same(const std::vector<Placement>& placements, const CollectiveSpec& spec,
                const std::vector<std::vector<std::string>>& expected) {
  for (const Placement& placement : placements) {
    for (const Case& the_case : canonical_cases(placement, spec))
      CHECK_MESSAGE(sums(the_case) == expected, the_case.name());
  }
}

}  // namespace

TEST_CASE("8 ranks sum in one order, however they lie on hosts") {
  const std::string tree = "(((r0 r1) (r2 r3)) ((r4 r5) (r6 r7)))/";
  for (const std::size_t count : {1U, 7U, 24U, 97U}) {
    for (const CollectiveSpec& spec : reductions(8, count)) {
      const auto on_one_host = sums(uniform(consecutive({8}), spec));
      for (const std::string& element : on_one_host[7]) CHECK(element == tree);
      check_same(
          {consecutive({4, 4}), consecutive({2, 2, 2, 2}), consecutive(std::vector<int>(8, 1))},
          spec, on_one_host);
    }
  }
}

TEST_CASE("with wide partial sums 16 bits are rounded once, at the root of the same tree") {
  for (const std::size_t count : {1U, 24U, 97U}) {
    for (CollectiveSpec spec : reductions(8, count)) {
      spec.dtype = DType::kFloat16;
      const auto on_one_host = sums(uniform(consecutive({8}), spec));
      CHECK(on_one_host[7][0] == "(((r0 r1) (r2 r3)) ((r4 r5) (r6 r7)))/~");
      const auto two_levels = sums(uniform(consecutive({4, 4}), spec));
      CHECK(two_levels[7][0] == "(((r0 r1) (r2 r3))~ ((r4 r5) (r6 r7))~)/~");
      spec.partials = Partials::kFloat32;
      check_same({consecutive({8}), consecutive({4, 4}), consecutive({2, 2, 2, 2}),
                  consecutive(std::vector<int>(8, 1))},
                 spec, on_one_host);
    }
  }
  for (CollectiveSpec spec : reductions(5, 24)) {
    spec.dtype = DType::kFloat16;
    spec.partials = Partials::kFloat32;
    check_same({consecutive({5}), consecutive({4, 1}), consecutive({2, 2, 1})}, spec,
               sums(uniform(consecutive(std::vector<int>(5, 1)), spec)));
  }
}

TEST_CASE("worlds that are no power of two keep the order on aligned hosts") {
  for (const CollectiveSpec& spec : reductions(7, 24)) {
    const auto on_one_host = sums(uniform(consecutive({7}), spec));
    CHECK(on_one_host[6][0] == "(((r0 r1) (r2 r3)) ((r4 r5) r6))/");
    check_same(
        {consecutive({4, 3}), consecutive({2, 2, 2, 1}), consecutive(std::vector<int>(7, 1))}, spec,
        on_one_host);
  }
}

TEST_CASE("on other placements the order is the hosts' sums, summed in host order") {
  for (const CollectiveSpec& spec : reductions(5, 24)) {
    for (const Case& the_case : canonical_cases(consecutive({3, 2}), spec))
      CHECK(sums(the_case)[4][0] == "(((r0 r1) r2) (r3 r4))/");
    for (const Case& the_case : canonical_cases(Placement({0, 1, 0, 1, 0}), spec))
      CHECK(sums(the_case)[4][0] == "(((r0 r2) r4) (r1 r3))/");
  }
}

TEST_CASE("an element's order depends on the placement alone, not on its place or how it is done") {
  std::mt19937 random = random_of_this_run();
  for (int world = 2; world <= 12; ++world) {
    for (const Placement& placement : placements(world, random)) {
      std::string order;
      for (const CollectiveSpec& spec : reductions(world, 29)) {
        for (const Case& the_case : canonical_cases(placement, spec)) {
          for (const auto& out : sums(the_case)) {
            for (const std::string& element : out) {
              if (order.empty()) order = element;
              REQUIRE_MESSAGE(element == order, the_case.name());
            }
          }
        }
      }
    }
  }
}
