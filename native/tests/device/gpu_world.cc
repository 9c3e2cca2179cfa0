#include "device/gpu_world.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#include "engine/request_check.h"
#include "provider/cuda/gpu.h"

namespace smddp::test {
namespace {

using cuda::Address;

void* driver_library() {
  // Before the driver is asked for the first time.
  static const int set = ::setenv("FAKE_GPU_COUNT", "8", 1);
  // By their paths, so that whoever asks for them by name finds them loaded.
  static void* const nccl = ::dlopen(FAKE_FOLDER "/libnccl.so.2", RTLD_NOW);
  static void* const library = ::dlopen(FAKE_FOLDER "/libcuda.so.1", RTLD_NOW);
  if (set != 0 || nccl == nullptr || library == nullptr) throw std::runtime_error(::dlerror());
  return library;
}

template <typename... Arguments>
void call(const char* name, Arguments... arguments) {
  const auto function = reinterpret_cast<int (*)(Arguments...)>(::dlsym(driver_library(), name));
  if (function == nullptr) throw std::runtime_error(std::string{name} + " is missing");
  if (const int error = function(arguments...); error != 0)
    throw std::runtime_error(std::string{name} + ": error " + std::to_string(error));
}

}  // namespace

std::shared_ptr<cuda::Gpu> open_gpu(int ordinal) {
  driver_library();
  const Result<cuda::DriverTable> driver = cuda::load_driver();
  if (!driver.ok()) throw std::runtime_error(driver.status().message());
  auto opened = cuda::Gpu::open(driver.value(), ordinal);
  if (!opened.ok()) throw std::runtime_error(opened.status().message());
  return opened.value();
}

void expect(bool condition, const std::string& what) {
  if (!condition) throw std::runtime_error(what);
}

TestStream::TestStream(int ordinal) : ordinal_(ordinal) {
  const auto mine = open_gpu(ordinal_);
  const cuda::Gpu::Current current{*mine};
  call("cuStreamCreateWithPriority", &stream_, 1U, 0);
}

TestStream::~TestStream() { call("cuStreamDestroy_v2", stream_); }
void TestStream::hold() { call("fake_cuda_hold", stream_); }
void TestStream::hold_kernel() { call("fake_cuda_hold_kernel", stream_); }
void TestStream::release() { call("fake_cuda_release", stream_); }
void TestStream::begin_capture() { call("cuStreamBeginCapture_v2", stream_, 2); }
void TestStream::replay() { call("fake_cuda_replay", stream_); }

void TestStream::end_capture() {
  void* graph = nullptr;
  call("cuStreamEndCapture", stream_, &graph);
}

bool TestStream::is_done() const {
  const auto query =
      reinterpret_cast<int (*)(DeviceStream)>(::dlsym(driver_library(), "cuStreamQuery"));
  return query(stream_) != cuda::kNotReady;
}

void TestStream::finish() const {
  const Deadline deadline = Deadline::after(std::chrono::seconds{20});
  while (!is_done()) {
    expect(!deadline.passed(), "the stream does not come to its end");
    ::sched_yield();
  }
}

TestMemory::TestMemory(int ordinal, std::vector<float> values)
    : ordinal_(ordinal), count_(values.size()) {
  const auto mine = open_gpu(ordinal_);
  const cuda::Gpu::Current current{*mine};
  Address address = 0;
  call("cuMemAlloc_v2", &address, std::max<std::size_t>(1, count_) * sizeof(float));
  data_ = reinterpret_cast<float*>(address);
  std::copy(values.begin(), values.end(), data_);
}

TestMemory::~TestMemory() {
  if (data_ == nullptr) return;
  const auto mine = open_gpu(ordinal_);
  const cuda::Gpu::Current current{*mine};
  call("cuMemFree_v2", reinterpret_cast<Address>(data_));
}

Reached::Reached(const Request& request, Rank rank, int world) {
  Request complete = request;
  complete_request(complete, rank, world);
  const auto add = [&](const void* begin, std::size_t count) {
    auto* const first = static_cast<std::byte*>(const_cast<void*>(begin));
    if (first != nullptr && count > 0)
      ranges_.emplace_back(first, first + count * size_of(complete.dtype));
  };
  add(complete.in, complete.collective == Collective::kBroadcast
                       ? (rank == complete.root ? complete.count : 0)
                       : in_count(complete, rank, world));
  add(complete.out, out_count(complete, rank, world));
  if (ranges_.size() == 2 && ranges_[0].first < ranges_[1].second &&
      ranges_[1].first < ranges_[0].second) {
    ranges_[0] = {std::min(ranges_[0].first, ranges_[1].first),
                  std::max(ranges_[0].second, ranges_[1].second)};
    ranges_.pop_back();
  }
  const auto mine = open_gpu(rank);
  const cuda::Gpu::Current current{*mine};
  for (const auto& [begin, end] : ranges_) {
    call("cuMemHostRegister_v2", static_cast<void*>(begin), static_cast<std::size_t>(end - begin),
         0U);
  }
}

Reached::~Reached() {
  for (const auto& range : ranges_) call("cuMemHostUnregister", static_cast<void*>(range.first));
}

void limit_queues(std::size_t most) { call("fake_cuda_limit_queues", most); }
long calls_of(const char* function) {
  const auto calls =
      reinterpret_cast<long (*)(const char*)>(::dlsym(driver_library(), "fake_cuda_calls"));
  return calls(function);
}
void refuse(const char* function, int times) { call("fake_cuda_refuse", function, times); }

namespace {

Config gpu_config(const World& world, Rank rank, const std::string& collectives) {
  Config config = world.config(rank);
  config.gpu_collectives = collectives;
  config.gpu_kernels = FAKE_KERNELS;
  return config;
}

}  // namespace

GpuMember join_gpus(const World& world, Rank rank, const std::string& collectives,
                    const std::function<void(Config&)>& adjust) {
  return join_gpu(collectives == "ipc" ? 0 : rank, world, rank, collectives, adjust);
}

GpuMember join_gpu(int gpu, const World& world, Rank rank, const std::string& collectives,
                   const std::function<void(Config&)>& adjust) {
  driver_library();
  GpuMember member{gpu, world.join(rank, "messages"), nullptr};
  member.messages->meet();
  Config config = gpu_config(world, rank, collectives);
  if (adjust) adjust(config);
  auto group = DeviceGroup::create(world.runtime(), world.options(rank, "gpus"), config, gpu,
                                   member.messages);
  if (!group.ok()) throw std::runtime_error(group.status().message());
  member.group = std::move(group).value();
  return member;
}

KeyedGpuMember join_gpus_keyed(const World& world, Rank rank, const std::string& collectives) {
  driver_library();
  KeyedGpuMember member{collectives == "ipc" ? 0 : rank, world.join_keyed(rank), nullptr};
  member.group =
      std::make_unique<KeyedDeviceGroup>(world.runtime(), world.options(rank, "gpus"),
                                         gpu_config(world, rank, collectives), member.order);
  return member;
}

}  // namespace smddp::test
