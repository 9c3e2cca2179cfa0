// What every operation pays besides moving its bytes: queue, plan, signature, flag.

#include <benchmark/benchmark.h>

#include "smddp/probe.h"

#include "benchmarks.h"
#include "engine/mpsc_queue.h"
#include "engine/plan_cache.h"
#include "topology/placement.h"

namespace smddp::bench {
namespace {

struct Element : MpscNode {};

void queue_push_and_pop(benchmark::State& state) {
  MpscQueue<Element> queue;
  Element element;
  for (auto _ : state) {
    queue.push(&element);
    benchmark::DoNotOptimize(queue.try_pop());
  }
}

/// `hosts` hosts of eight ranks.
Placement placement_of(int hosts) {
  std::vector<int> labels;
  for (int rank = 0; rank < 8 * hosts; ++rank) labels.push_back(rank / 8);
  return Placement{labels};
}

void make_a_plan(benchmark::State& state) {
  const Placement placement = placement_of(static_cast<int>(state.range(0)));
  const CollectiveSpec spec{.collective = Collective::kAllReduce, .count = 1'000'000};
  for (auto _ : state) benchmark::DoNotOptimize(make_plan(spec, placement, Policy{}, 3));
}

void find_a_plan(benchmark::State& state) {
  Group group;
  group.placement = placement_of(1);
  group.self = 3;
  const auto operations = static_cast<std::size_t>(state.range(0));
  PlanCache cache;
  Request request{.collective = Collective::kAllReduce};
  for (auto _ : state) {
    request.count = request.count % operations + 1;
    benchmark::DoNotOptimize(&cache.get(request, group));
  }
}

void flag(benchmark::State& state) {
  for (auto _ : state) {
    const HandOff probed = probe_hand_off();
    state.SetIterationTime(probed.flag_seconds);
    state.counters["futex"] = probed.futex_seconds;
  }
}

}  // namespace

void define_parts() {
  using benchmark::RegisterBenchmark;
  RegisterBenchmark("part/queue push and pop", queue_push_and_pop);
  RegisterBenchmark("part/plan made/hosts", make_a_plan)->Arg(1)->Arg(4)->Arg(32);
  RegisterBenchmark("part/plan found/operations in a step", find_a_plan)->Arg(1)->Arg(30);
  RegisterBenchmark("part/flag, one way", flag)->UseManualTime()->Iterations(5);
}

}  // namespace smddp::bench
