// Our kernels on a GPU, beside the copies that it can do: where SMDDP_GPU_KERNELS names the library
// with the kernels.

#include "provider/cuda/gpu.h"

#include <benchmark/benchmark.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "benchmarks.h"
#include "provider/cuda/kernels.h"

namespace smddp::bench {
namespace {

constexpr std::size_t kBytes = std::size_t{64} << 20;
constexpr const char* kKernels = "SMDDP_GPU_KERNELS";
constexpr int kCalls = 10;  // between two looks at the GPU

template <typename T>
T value_of(Result<T> result) {
  if (!result.ok()) throw std::runtime_error(result.status().message());
  return std::move(result).value();
}

void check(const Status& status) {
  if (!status.ok()) throw std::runtime_error(status.message());
}

/// A GPU, a stream, and as much of its memory as the largest call needs.
class Device {
 public:
  Device() {
    const auto image = value_of(cuda::load_kernel_image(std::getenv(kKernels)));
    gpu = value_of(cuda::Gpu::open(value_of(cuda::load_driver()), 0));
    kernels = value_of(cuda::Kernels::on(gpu, image));
    stream = value_of(gpu->make_stream());
    end_ = value_of(gpu->make_event());
    for (std::byte*& memory : memory_) memory = value_of(gpu->allocate(kBytes));
  }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  ~Device() {
    for (std::byte* const memory : memory_) gpu->free(memory);
    gpu->destroy(end_);
    gpu->destroy_stream(stream);
  }

  std::byte* memory(std::size_t number) const { return memory_[number]; }
  void finish() const {
    check(gpu->record(end_, stream));
    while (gpu->query(end_).is_again()) std::this_thread::yield();
    check(gpu->query(end_));
  }

  std::shared_ptr<cuda::Gpu> gpu;
  const cuda::Kernels* kernels = nullptr;
  cuda::Stream stream = nullptr;

 private:
  cuda::Event end_ = nullptr;
  std::array<std::byte*, cuda::kMostRanks + 1> memory_{};
};

/// `bytes`: read and written by a call.
template <typename Call>
void measure(benchmark::State& state, std::size_t bytes, Call call) {
  try {
    const Device device;
    call(device);
    device.finish();
    for ([[maybe_unused]] auto turn : state) {
      for (int k = 0; k < kCalls; ++k) call(device);
      device.finish();
    }
    state.SetBytesProcessed(static_cast<std::int64_t>(bytes) * kCalls * state.iterations());
  } catch (const std::exception& problem) {
    state.SkipWithError(problem.what());
  }
}

void copy(benchmark::State& state) {
  measure(state, 2 * kBytes, [](const Device& device) {
    check(device.gpu->copy_on_device(device.memory(0), device.memory(1), kBytes, device.stream));
  });
}

void reduce(benchmark::State& state, DType dtype, int sources) {
  const auto moved = static_cast<std::size_t>(sources + 1) * kBytes;
  measure(state, moved, [&](const Device& device) {
    cuda::ReduceArguments call{.count = kBytes / size_of(dtype), .sources = sources, .targets = 1};
    for (int source = 0; source < sources; ++source)
      call.in[source] = device.memory(static_cast<std::size_t>(source) + 1);
    call.out[0] = device.memory(0);
    check(device.kernels->reduce(dtype, call, device.stream));
  });
}

}  // namespace

void define_gpu() {
  if (std::getenv(kKernels) == nullptr) return;
  benchmark::RegisterBenchmark("gpu/copy 64 MiB", copy)->UseRealTime();
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16, DType::kFloat16}) {
    for (const int sources : {2, 8, 32}) {
      const std::string name = "gpu/reduce " + std::string{name_of(dtype)} + " 64 MiB of each of " +
                               std::to_string(sources);
      benchmark::RegisterBenchmark(name.c_str(), reduce, dtype, sources)->UseRealTime();
    }
  }
}

}  // namespace smddp::bench
