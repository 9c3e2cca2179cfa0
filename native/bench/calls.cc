// Whole collectives through the C++ API, back to back, between two processes.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <vector>

#include "smddp/probe.h"
#include "smddp/registered.h"

#include "benchmarks.h"
#include "world.h"

namespace smddp::bench {
namespace {

// Fixed, because both processes have to make equally many calls.
constexpr int kRepetitions = 5;
constexpr std::size_t kBytesPerRepetition = std::size_t{1} << 30;

void add_limits(benchmark::State& state, std::size_t bytes) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes));
  if (!world().reports() || bytes > 64) return;
  static const double flag = probe_hand_off().flag_seconds;
  state.counters["flag"] = flag;
  // What a small operation may cost: two flags each way, and 100 ns of work.
  state.counters["bar"] = 4 * flag + 100e-9;
}

void all_reduce(benchmark::State& state, DType dtype, ReduceOp op, bool registered) {
  const auto bytes = static_cast<std::size_t>(state.range(0));
  std::vector<std::byte> plain(registered ? 0 : bytes);
  Result<RegisteredBlock> block = RegisteredBlock::allocate(registered ? bytes : 0);
  if (!block.ok()) return state.SkipWithError(block.status().message().c_str());
  std::byte* const data = registered ? block.value().data() : plain.data();
  std::fill_n(data, bytes, std::byte{0});
  const Request request{.collective = Collective::kAllReduce,
                        .dtype = dtype,
                        .op = op,
                        .in = data,
                        .out = data,
                        .count = bytes / size_of(dtype),
                        .synchronous = true};
  world().run(request);
  for (auto _ : state) world().run(request);
  add_limits(state, bytes);
}

void define(const std::string& name, DType dtype, ReduceOp op, bool registered,
            const std::vector<std::int64_t>& sizes) {
  for (const std::int64_t bytes : sizes) {
    const std::size_t calls = kBytesPerRepetition / static_cast<std::size_t>(bytes);
    benchmark::RegisterBenchmark(("call/all_reduce/" + name).c_str(), all_reduce, dtype, op,
                                 registered)
        ->Arg(bytes)
        ->Iterations(static_cast<std::int64_t>(std::clamp<std::size_t>(calls, 16, 100'000)))
        ->Repetitions(kRepetitions)
        ->ReportAggregatesOnly()
        ->UseRealTime();
  }
}

}  // namespace

void define_calls() {
  const std::vector<std::int64_t> large{1 << 20, 32 << 20};
  define("float32 sum plain", DType::kFloat32, ReduceOp::kSum, false,
         {8, 1024, 10240, 65536, 1 << 20, 32 << 20});
  define("float32 sum registered", DType::kFloat32, ReduceOp::kSum, true, large);
  define("float16 sum registered", DType::kFloat16, ReduceOp::kSum, true, large);
  define("bfloat16 sum registered", DType::kBFloat16, ReduceOp::kSum, true, large);
  define("float32 average registered", DType::kFloat32, ReduceOp::kAverage, true, large);
  define("float32 max registered", DType::kFloat32, ReduceOp::kMax, true, large);
  define("float32 average plain", DType::kFloat32, ReduceOp::kAverage, false, large);
  define("float32 max plain", DType::kFloat32, ReduceOp::kMax, false, large);
}

}  // namespace smddp::bench
