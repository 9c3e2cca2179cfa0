// The validator is not vacuous: each kind of damage to one place of a correct plan makes it reject
// the plans. All places of all ranks' plans are tried. A plan must be valid in place and not, so
// damage that only one of the two shows counts as found.
#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "plan/cases.h"
#include "plan/traits.h"
#include "plan/validate.h"

using namespace smddp;
using namespace smddp::test;

namespace {

using Plans = std::vector<Plan>;

/// Damages step `index` of a plan. Returns false when there is nothing of the kind to damage.
using Mutation = std::function<bool(Plan& plan, std::size_t index)>;

bool is_rejected(const Case& the_case, const Plans& plans) {
  return !validate_plans(plans, the_case.specs, the_case.placement, false).ok() ||
         !validate_plans(plans, the_case.specs, the_case.placement, true).ok();
}

Case whole_vector(Collective collective, std::size_t count, Rank root, const Placement& placement) {
  CollectiveSpec spec;
  spec.collective = collective;
  spec.op = ReduceOp::kAverage;
  spec.count = count;
  spec.root = root;
  return uniform(placement, spec);
}

Case blocks(Collective collective, std::vector<std::size_t> counts, const Placement& placement) {
  CollectiveSpec spec;
  spec.collective = collective;
  spec.op = ReduceOp::kAverage;
  spec.counts = std::move(counts);
  return uniform(placement, spec);
}

/// Placements with several ranks per host, single ranks, more ranks there than here, and one host.
std::vector<Case> direct_cases() {
  std::vector<Case> all;
  for (const auto& ranks_per_host : std::vector<std::vector<int>>{
           {1, 1, 1}, {2, 2}, {3, 1}, {1, 3}, {2, 3, 2}, {1, 1, 1, 1}, {4}}) {
    const Placement placement = consecutive(ranks_per_host);
    const auto world = static_cast<std::size_t>(placement.world());
    std::vector<std::size_t> counts;
    for (std::size_t rank = 0; rank < world; ++rank) counts.push_back(rank % 3 + 1);
    all.push_back(whole_vector(Collective::kAllReduce, 25, 0, placement));
    for (const Rank root : {0, placement.world() - 1}) {
      all.push_back(whole_vector(Collective::kReduce, 25, root, placement));
      all.push_back(whole_vector(Collective::kBroadcast, 25, root, placement));
    }
    all.push_back(blocks(Collective::kReduceScatter, counts, placement));
    all.push_back(blocks(Collective::kAllGather, counts, placement));
    for (const Collective collective : {Collective::kGather, Collective::kScatter}) {
      Case rooted = blocks(collective, counts, placement);
      for (CollectiveSpec& spec : rooted.specs) spec.root = static_cast<Rank>(world) - 2;
      all.push_back(rooted);
    }
    Case exchange = blocks(Collective::kAllToAll, std::vector<std::size_t>(world, 2), placement);
    for (CollectiveSpec& spec : exchange.specs) spec.send_counts = spec.counts;
    all.push_back(exchange);
    all.push_back(whole_vector(Collective::kBarrier, 0, 0, placement));
  }
  return all;
}

/// The same by every algorithm.
std::vector<Case> cases() {
  std::vector<Case> all;
  for (Case the_case : direct_cases()) {
    if (the_case.algorithm == nullptr) all.push_back(the_case);
    for (const Algorithm* algorithm : algorithms()) {
      if (the_case.algorithm == nullptr) break;
      const CollectiveSpec& spec = the_case.specs[0];
      if (algorithm->collective != spec.collective) continue;
      if (!algorithm->suits(spec, the_case.placement)) continue;
      the_case.algorithm = algorithm;
      all.push_back(the_case);
    }
  }
  return all;
}

/// Those that add, with partial sums in float32.
std::vector<Case> wide_cases() {
  std::vector<Case> all;
  for (const Case& the_case : cases()) {
    if (is_reducing(the_case.specs[0].collective)) all.push_back(with_wide_partials(the_case));
  }
  return all;
}

/// Tries the mutation at every step of every rank; each must be rejected. Returns how many there
/// were.
int expect_rejected(const std::string& what, const Mutation& mutation,
                    const std::vector<Case>& all = cases()) {
  int tried = 0;
  for (const Case& the_case : all) {
    const Plans good = plans_of(the_case);
    REQUIRE_FALSE(is_rejected(the_case, good));
    for (std::size_t rank = 0; rank < good.size(); ++rank) {
      for (std::size_t index = 0; index < good[rank].steps.size(); ++index) {
        Plans damaged = good;
        if (!mutation(damaged[rank], index)) continue;
        ++tried;
        if (is_rejected(the_case, damaged)) continue;
        FAIL_CHECK(what, " at step ", index, " of rank ", rank, " was accepted; ", the_case.name(),
                   "\n", to_string(good[rank]));
      }
    }
  }
  return tried;
}

void remove_step(Plan& plan, std::size_t index) {
  plan.steps.erase(plan.steps.begin() + static_cast<std::ptrdiff_t>(index));
  for (Step& step : plan.steps) {
    std::erase(step.after, static_cast<std::uint32_t>(index));
    for (std::uint32_t& id : step.after) id -= id > index ? 1 : 0;
  }
}

/// Whether `step` waits for `earlier` through other steps than `skipped`.
bool waits_without(const Plan& plan, std::size_t step, std::uint32_t earlier, bool direct) {
  for (const std::uint32_t id : plan.steps[step].after) {
    if (id == earlier && direct) return true;
    if (id != earlier && id > earlier && waits_without(plan, id, earlier, true)) return true;
  }
  return false;
}

/// What is exchanged, gathered or scattered among neighbours are parts; where the range around them
/// ends says nothing.
bool is_harmless(const Step& step, const Range& changed) {
  if (step.kind != StepKind::kNative) return false;
  const Collective collective = step.native.collective;
  const auto holds = [](const Range& range, const std::vector<Part>& parts) {
    return range.offset == 0 && std::all_of(parts.begin(), parts.end(), [&](const Part& part) {
             return part.offset + part.count <= range.count;
           });
  };
  if (&changed == &step.native.in) {
    return (collective == Collective::kAllToAll || collective == Collective::kScatter) &&
           holds(changed, step.native.in_parts);
  }
  return (collective == Collective::kAllToAll || collective == Collective::kGather) &&
         &changed == &step.native.out && holds(changed, step.native.out_parts);
}

/// Applies `change` to range number `choice` of those of the step that have elements. Returns false
/// when there is none or the change makes no difference.
bool change_range(Step& step, std::size_t choice, const std::function<void(Range&)>& change) {
  std::vector<Range*> ranges;
  for (Range& source : step.sources) ranges.push_back(&source);
  for (Range* range : {&step.target, &step.native.in, &step.native.out}) ranges.push_back(range);
  std::erase_if(ranges, [](const Range* range) { return range->count == 0; });
  if (choice >= ranges.size()) return false;
  change(*ranges[choice]);
  return !is_harmless(step, *ranges[choice]);
}

}  // namespace

TEST_CASE("a dropped step is rejected") {
  const int tried = expect_rejected("dropping a step", [](Plan& plan, std::size_t index) {
    remove_step(plan, index);
    return true;
  });
  CHECK(tried > 900);
}

TEST_CASE("a dropped dependency is rejected") {
  int tried = 0;
  for (std::size_t which = 0; which < 8; ++which) {
    tried += expect_rejected("dropping a dependency", [which](Plan& plan, std::size_t index) {
      std::vector<std::uint32_t>& after = plan.steps[index].after;
      if (which >= after.size()) return false;
      // Dependencies that others imply change nothing.
      if (waits_without(plan, index, after[which], false)) return false;
      after.erase(after.begin() + static_cast<std::ptrdiff_t>(which));
      return true;
    });
  }
  CHECK(tried > 0);
}

TEST_CASE("a message to or from another rank is rejected") {
  for (const Rank shift : {1, 2, 3}) {
    const int tried = expect_rejected("changing a peer", [shift](Plan& plan, std::size_t index) {
      Step& step = plan.steps[index];
      if (step.kind != StepKind::kSend && step.kind != StepKind::kRecv) return false;
      step.peer = step.peer >= shift ? step.peer - shift : step.peer + shift;
      return true;
    });
    CHECK(tried > 0);
  }
}

TEST_CASE("two messages in the wrong order are rejected") {
  const int tried = expect_rejected(
      "swapping two messages to or from one peer", [](Plan& plan, std::size_t index) {
        Step& step = plan.steps[index];
        if (step.kind != StepKind::kSend && step.kind != StepKind::kRecv) return false;
        for (std::size_t next = index + 1; next < plan.steps.size(); ++next) {
          Step& other = plan.steps[next];
          if (other.kind != step.kind || other.peer != step.peer) continue;
          std::swap(step.sources, other.sources);
          std::swap(step.target, other.target);
          return true;
        }
        return false;
      });
  CHECK(tried > 0);
}

TEST_CASE("a wrong range is rejected") {
  using Change = std::pair<std::string, std::function<void(Range&)>>;
  for (const auto& [what, change] :
       std::vector<Change>{{"shifting a range up", [](Range& range) { ++range.offset; }},
                           {"shifting a range down", [](Range& range) { --range.offset; }},
                           {"shortening a range", [](Range& range) { --range.count; }},
                           {"lengthening a range", [](Range& range) { ++range.count; }}}) {
    int tried = 0;
    for (std::size_t choice = 0; choice < 5; ++choice) {
      tried += expect_rejected(what, [&, c = choice](Plan& plan, std::size_t index) {
        return change_range(plan.steps[index], c, change);
      });
    }
    CHECK(tried > 0);
  }
}

TEST_CASE("too little scratch is rejected") {
  const int tried = expect_rejected("taking away scratch", [](Plan& plan, std::size_t index) {
    if (index != 0 || plan.scratch_count == 0) return false;
    --plan.scratch_count;
    return true;
  });
  CHECK(tried > 0);
  const int partials = expect_rejected("taking away partials", [](Plan& plan, std::size_t index) {
    if (index != 0 || plan.partial_count == 0) return false;
    --plan.partial_count;
    return true;
  });
  CHECK(partials > 0);
}

TEST_CASE("a rank that keeps its partial sums short is rejected") {
  const auto shorten = [](Plan& plan, std::size_t index) {
    if (index != 0 || plan.partial_count == 0) return false;
    const auto move = [&](Range& range) {
      if (range.space != Space::kPartials) return;
      range.space = Space::kScratch;
      range.offset += plan.scratch_count;
    };
    for (Step& step : plan.steps) {
      for (Range& source : step.sources) move(source);
      for (Range* range : {&step.target, &step.native.in, &step.native.out}) move(*range);
    }
    plan.scratch_count += plan.partial_count;
    return true;
  };
  CHECK(expect_rejected("keeping partial sums short", shorten, wide_cases()) > 100);
}

TEST_CASE("native steps in another order than the neighbours' are rejected") {
  const int tried = expect_rejected("swapping two native steps", [](Plan& plan, std::size_t index) {
    if (plan.steps[index].kind != StepKind::kNative) return false;
    for (std::size_t next = index + 1; next < plan.steps.size(); ++next) {
      Step& other = plan.steps[next];
      if (other.kind != StepKind::kNative) continue;
      if (other.native.collective == Collective::kBarrier) return false;  // they are all the same
      std::swap(plan.steps[index].native, other.native);
      return true;
    }
    return false;
  });
  CHECK(tried > 0);
}

TEST_CASE("a wrong part of a native step is rejected") {
  const auto damage = [](std::vector<Part>& parts, std::size_t which) {
    if (which >= parts.size() || parts[which].count == 0) return false;
    parts[which].offset += 1;
    return true;
  };
  for (std::size_t which = 0; which < 4; ++which) {
    expect_rejected("shifting an in_part", [&](Plan& plan, std::size_t index) {
      return damage(plan.steps[index].native.in_parts, which);
    });
    expect_rejected("shifting an out_part", [&](Plan& plan, std::size_t index) {
      return damage(plan.steps[index].native.out_parts, which);
    });
  }
}

TEST_CASE("wrong arithmetic is rejected") {
  const auto is_reduce = [](const Plan& plan, std::size_t index) {
    return plan.steps[index].kind == StepKind::kReduce;
  };
  const auto expect = [&](const std::string& what, const std::function<bool(Step&)>& change) {
    const int tried = expect_rejected(what, [&](Plan& plan, std::size_t index) {
      if (!is_reduce(plan, index)) return false;
      return change(plan.steps[index]);
    });
    CHECK(tried > 0);
  };
  expect("adding a source twice", [](Step& step) {
    step.sources.push_back(step.sources[0]);
    return true;
  });
  expect("leaving out a source", [](Step& step) {
    step.sources.pop_back();
    return true;
  });
  expect("not dividing", [](Step& step) { return std::exchange(step.reduction.divisor, 1) != 1; });
  expect("dividing by something else", [](Step& step) { return ++step.reduction.divisor > 0; });
  expect("another operation", [](Step& step) {
    step.reduction.op = ReduceOp::kMax;
    return true;
  });
}
