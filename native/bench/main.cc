// What a collective is made of, timed: kernels, queue, plans, and whole calls through the C++ API.
// Calls need two processes: both run those benchmarks, equally often, and rank 0 reports.

#include <benchmark/benchmark.h>

#include <optional>
#include <ostream>
#include <vector>

#include "benchmarks.h"
#include "world.h"

namespace smddp::bench {
namespace {

std::optional<World> g_world;

class Silence final : public benchmark::BenchmarkReporter {
 public:
  Silence() {
    SetOutputStream(&nowhere_);
    SetErrorStream(&nowhere_);
  }
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>&) override {}

 private:
  std::ostream nowhere_{nullptr};
};

}  // namespace

World& world() { return *g_world; }

int run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  g_world.emplace();
  define_calls();
  if (g_world->reports()) {
    define_kernels();
    define_gpu();
    define_parts();
    benchmark::RunSpecifiedBenchmarks();
  } else {
    Silence silence;
    benchmark::RunSpecifiedBenchmarks(&silence);
  }
  g_world.reset();
  return 0;
}

}  // namespace smddp::bench

int main(int argc, char** argv) { return smddp::bench::run(argc, argv); }
