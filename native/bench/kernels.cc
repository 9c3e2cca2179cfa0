// Reduce kernels, as a fraction of the rate at which the same bytes can be read.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "benchmarks.h"
#include "reduce/reduce.h"

namespace smddp::bench {
namespace {

// Bytes of one source: in the second-level cache, and from memory.
constexpr std::array<std::int64_t, 2> kSizes{64 << 10, 64 << 20};
constexpr std::size_t kSources = 2;

#if defined(__x86_64__)
#define SMDDP_BENCH_WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define SMDDP_BENCH_WIDE
#endif

/// Reads everything and does next to nothing with it.
SMDDP_BENCH_WIDE std::uint64_t read_all(const std::uint64_t* data, std::size_t count) {
  std::array<std::uint64_t, 32> sums{};
  for (std::size_t i = 0; i + sums.size() <= count; i += sums.size()) {
    for (std::size_t k = 0; k < sums.size(); ++k) sums[k] ^= data[i + k];
  }
  std::uint64_t all = 0;
  for (const std::uint64_t sum : sums) all ^= sum;
  return all;
}

/// Bytes per second at which `bytes` bytes are read again and again; best of several tries.
double read_rate(std::size_t bytes) {
  static std::map<std::size_t, double> known;
  double& rate = known[bytes];
  if (rate > 0) return rate;
  const std::vector<std::uint64_t> memory(bytes / sizeof(std::uint64_t), 1);
  const std::size_t passes = std::max<std::size_t>(1, (std::size_t{256} << 20) / bytes);
  for (int attempt = 0; attempt < 7; ++attempt) {
    const auto begin = std::chrono::steady_clock::now();
    for (std::size_t pass = 0; pass < passes; ++pass)
      benchmark::DoNotOptimize(read_all(memory.data(), memory.size()));
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    rate = std::max(rate, static_cast<double>(bytes * passes) / taken.count());
  }
  return rate;
}

void kernel(benchmark::State& state, DType dtype, ReduceOp op, int divisor) {
  const auto bytes = static_cast<std::size_t>(state.range(0));
  std::vector<std::vector<std::byte>> memory(kSources, std::vector<std::byte>(bytes));
  std::vector<const std::byte*> sources;
  for (const auto& one : memory) sources.push_back(one.data());
  const std::size_t count = bytes / size_of(dtype);
  // In place, as in a collective: the first source is the target.
  std::byte* const target = memory[0].data();
  for (auto _ : state) {
    reduce_sources(dtype, op, divisor, sources, {&target, 1}, count);
    benchmark::ClobberMemory();
  }
  const double read = static_cast<double>(kSources * bytes);
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(kSources * bytes));
  state.counters["of_read"] = benchmark::Counter(read / read_rate(kSources * bytes),
                                                 benchmark::Counter::kIsIterationInvariantRate);
}

void define(DType dtype, ReduceOp op, const std::string& op_name, int divisor) {
  const std::string name = "kernel/" + std::string{name_of(dtype)} + " " + op_name;
  for (const std::int64_t bytes : kSizes)
    benchmark::RegisterBenchmark(name.c_str(), kernel, dtype, op, divisor)
        ->Arg(bytes)
        ->MinTime(0.05);
}

}  // namespace

void define_kernels() {
  for (const DType dtype :
       {DType::kFloat64, DType::kFloat32, DType::kFloat16, DType::kBFloat16, DType::kInt8,
        DType::kInt16, DType::kInt32, DType::kInt64, DType::kUint8, DType::kBool}) {
    define(dtype, ReduceOp::kSum, "sum", 1);
    define(dtype, ReduceOp::kMax, "max", 1);
    if (dtype != DType::kBool) define(dtype, ReduceOp::kProduct, "product", 1);
    if (dtype != DType::kBool) define(dtype, ReduceOp::kSum, "average", 2);
  }
}

}  // namespace smddp::bench
