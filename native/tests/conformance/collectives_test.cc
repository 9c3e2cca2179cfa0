// Every collective x dtype x operation x size x manner of calling, over every fabric and world.
#include <algorithm>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "conformance/case.h"
#include "plan/algorithm.h"
#include "plan/traits.h"
#include "support/fabric.h"

namespace smddp::test {
namespace {

constexpr int kWorlds[] = {1, 2, 3, 4, 7, 8};
/// Calls that a rank has under way at once.
constexpr std::size_t kInFlight = 64;
constexpr std::size_t kMostOverOfi = 80;

std::vector<Case> all_cases(int world) {
  std::vector<Case> all;
  for (const Collective collective : kCollectives) {
    for (const auto& some : {typed_cases(collective, world), sized_cases(collective, world)}) {
      all.insert(all.end(), some.begin(), some.end());
    }
  }
  return all;
}

void run_one_by_one(Communicator& communicator, const std::vector<Case>& cases) {
  for (const Case& what : cases) {
    Call call{what, communicator.rank(), communicator.world()};
    run(communicator, call.request());
    call.check();
  }
}

void run_many_at_once(Communicator& communicator, const std::vector<Case>& cases) {
  std::vector<std::unique_ptr<Call>> calls;
  std::vector<Work> works;
  for (const Case& what : cases) {
    calls.push_back(std::make_unique<Call>(what, communicator.rank(), communicator.world()));
    works.push_back(communicator.submit(calls.back()->request()));
  }
  while (!works.empty()) {
    finish(works.back());
    calls.back()->check();
    works.pop_back();
    calls.pop_back();
  }
}

/// libfabric's tcp takes so long that all cases would not fit into the time of these tests: over it
/// run some, drawn anew each time.
std::vector<Case> affordable(const Fabric& fabric, std::vector<Case> cases, unsigned seed) {
  if (!fabric.transport.ends_with("ofi") || cases.size() <= kMostOverOfi) return cases;
  std::mt19937 random{seed};
  std::vector<Case> some;
  std::sample(cases.begin(), cases.end(), std::back_inserter(some), kMostOverOfi, random);
  return some;
}

TEST_CASE("every collective gives the right result over every fabric and world") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::size_t turn = 0;
  for (const Fabric& fabric : fabrics()) {
    for (const int world : kWorlds) {
      CAPTURE(fabric.name);
      CAPTURE(world);
      const std::vector<Case> cases = affordable(fabric, thinned(all_cases(world), turn++), seed);
      run_world(fabric, world,
                [&](Communicator& communicator) { run_one_by_one(communicator, cases); });
    }
  }
}

TEST_CASE("every algorithm gives the right result over several hosts") {
  std::size_t turn = 0;
  for (const Algorithm* algorithm : algorithms()) {
    const std::string choice =
        std::string{name_of(algorithm->collective)} + "=" + std::string{algorithm->name};
    CAPTURE(choice);
    const Fabric ranks_apart{"tcp", "tcp", false, choice, "any"};
    const Fabric two_hosts{"two hosts", "shm+inproc", true, choice, "any"};
    std::vector<Fabric> all{ranks_apart, two_hosts};
    if (is_reducing(algorithm->collective)) {
      all.push_back({"tcp, wide partial sums", "tcp", false, choice, "any", "fp32"});
      all.push_back({"two hosts, wide partial sums", "shm+inproc", true, choice, "any", "fp32"});
    }
    for (const Fabric& fabric : all) {
      for (const int world : {3, 4, 8}) {
        CAPTURE(fabric.name);
        CAPTURE(world);
        std::vector<Case> cases = sized_cases(algorithm->collective, world);
        const std::vector<Case> typed = typed_cases(algorithm->collective, world);
        cases.insert(cases.end(), typed.begin(), typed.end());
        cases = thinned(cases, turn++);
        run_world(fabric, world,
                  [&](Communicator& communicator) { run_one_by_one(communicator, cases); });
      }
    }
  }
}

TEST_CASE("operations that are under way at once do not disturb each other") {
  for (const Fabric& fabric : fabrics()) {
    for (const int world : {2, 3, 8}) {
      CAPTURE(fabric.name);
      CAPTURE(world);
      const std::vector<Case> cases = all_cases(world);
      std::vector<Case> mixed;  // a stride without a common factor visits all kinds
      for (std::size_t i = 0; i < kInFlight; ++i) {
        mixed.push_back(cases[i * 47 % cases.size()]);
        if (i % 8 != 0) mixed.back().synchronous = false;
      }
      run_world(fabric, world,
                [&](Communicator& communicator) { run_many_at_once(communicator, mixed); });
    }
  }
}

}  // namespace
}  // namespace smddp::test
