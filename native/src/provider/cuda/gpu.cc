#include "provider/cuda/gpu.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/fork_guard.h"

namespace smddp::cuda {
namespace {

constexpr unsigned kDisableTiming = 2;       // CU_EVENT_DISABLE_TIMING: recorded without a clock
constexpr unsigned kNonBlocking = 1;         // CU_STREAM_NON_BLOCKING
constexpr unsigned kAtLeast = 0;             // CU_STREAM_WAIT_VALUE_GEQ
constexpr int kComputeCapabilityMajor = 75;  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
constexpr int kProcessors = 16;              // CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT

// With unified addressing, which every 64-bit Linux has, an address means the same on both sides.
Address address_of(const void* memory) { return reinterpret_cast<Address>(memory); }

}  // namespace

Gpu::Current::Current(const Gpu& gpu) noexcept
    : driver_(gpu.driver_), pushed_(driver_.context_push(gpu.context_) == 0) {}

Gpu::Current::~Current() {
  Context popped = nullptr;
  if (pushed_) driver_.context_pop(&popped);
}

Result<std::shared_ptr<Gpu>> Gpu::open(const DriverTable& driver, int ordinal) {
  std::shared_ptr<Gpu> gpu{new Gpu{driver, ordinal}};
  SMDDP_RETURN_IF_ERROR(gpu->take_hold());
  return gpu;
}

Status Gpu::take_hold() {
  SMDDP_RETURN_IF_ERROR(check(driver_.init(0), "cuInit"));
  SMDDP_RETURN_IF_ERROR(check(driver_.device_get(&device_, ordinal_), "cuDeviceGet"));
  SMDDP_RETURN_IF_ERROR(
      check(driver_.device_get_uuid(identity_.uuid.data(), device_), "cuDeviceGetUuid"));
  std::array<char, 64> bus{};
  SMDDP_RETURN_IF_ERROR(
      check(driver_.device_get_pci_bus_id(bus.data(), bus.size(), device_), "cuDeviceGetPCIBusId"));
  std::copy_n(bus.begin(), identity_.pci_bus.size(), identity_.pci_bus.begin());
  SMDDP_RETURN_IF_ERROR(
      check(driver_.device_get_attribute(&identity_.capability, kComputeCapabilityMajor, device_),
            "cuDeviceGetAttribute"));
  SMDDP_RETURN_IF_ERROR(check(driver_.device_get_attribute(&processors_, kProcessors, device_),
                              "cuDeviceGetAttribute"));
  Context context = nullptr;
  SMDDP_RETURN_IF_ERROR(
      check(driver_.primary_context_retain(&context, device_), "cuDevicePrimaryCtxRetain"));
  context_ = context;
  return {};
}

// At the end of the process the driver may be gone, and says so.
Gpu::~Gpu() {
  if (context_ != nullptr && !in_forked_child()) driver_.primary_context_release(device_);
}

Status Gpu::check(int error, const char* function) const {
  if (error == 0) return {};
  return {StatusCode::kSystem, std::string{function} + " on GPU " + std::to_string(ordinal_) +
                                   ": " + text_of(driver_, error)};
}

Status Gpu::copy_to_host(std::byte* to, const void* from, std::size_t bytes, Stream stream) const {
  if (bytes == 0) return {};
  const Current current{*this};
  return check(driver_.copy_to_host(to, address_of(from), bytes, stream), "cuMemcpyDtoHAsync");
}

Status Gpu::copy_to_device(void* to, const std::byte* from, std::size_t bytes,
                           Stream stream) const {
  if (bytes == 0) return {};
  const Current current{*this};
  return check(driver_.copy_to_device(address_of(to), from, bytes, stream), "cuMemcpyHtoDAsync");
}

Status Gpu::copy_on_device(void* to, const void* from, std::size_t bytes, Stream stream) const {
  if (bytes == 0 || to == from) return {};
  const Current current{*this};
  return check(driver_.copy_on_device(address_of(to), address_of(from), bytes, stream),
               "cuMemcpyDtoDAsync");
}

Status Gpu::call(HostFunction function, void* data, Stream stream) const {
  const Current current{*this};
  return check(driver_.launch_host_function(stream, function, data), "cuLaunchHostFunc");
}

Status Gpu::wait_for(const std::uint32_t* word, std::uint32_t value, Stream stream) const {
  const Current current{*this};
  return check(driver_.stream_wait_value(stream, address_of(word), value, kAtLeast),
               "cuStreamWaitValue32");
}

Status Gpu::step(std::span<WordStep> steps, Stream stream) const {
  const Current current{*this};
  return check(
      driver_.stream_word_steps(stream, static_cast<unsigned>(steps.size()), steps.data(), 0),
      "cuStreamBatchMemOp");
}

Status Gpu::launch(Function kernel, unsigned blocks, unsigned threads, void* parameter,
                   Stream stream) const {
  const Current current{*this};
  return check(
      driver_.launch_kernel(kernel, blocks, 1, 1, threads, 1, 1, 0, stream, &parameter, nullptr),
      "cuLaunchKernel");
}

Status Gpu::wait_for(Event event, Stream stream) const {
  const Current current{*this};
  return check(driver_.stream_wait_event(stream, event, 0), "cuStreamWaitEvent");
}

Status Gpu::record(Event event, Stream stream) const {
  const Current current{*this};
  return check(driver_.event_record(event, stream), "cuEventRecord");
}

Result<bool> Gpu::is_capturing(Stream stream) const {
  const Current current{*this};
  int status = 0;
  SMDDP_RETURN_IF_ERROR(check(driver_.stream_is_capturing(stream, &status), "cuStreamIsCapturing"));
  return status != 0;
}

Result<Stream> Gpu::make_stream() const {
  const Current current{*this};
  Stream stream = nullptr;
  SMDDP_RETURN_IF_ERROR(
      check(driver_.stream_create(&stream, kNonBlocking, 0), "cuStreamCreateWithPriority"));
  return stream;
}

void Gpu::destroy_stream(Stream stream) const noexcept {
  const Current current{*this};
  driver_.stream_destroy(stream);
}

Result<Event> Gpu::make_event() const {
  const Current current{*this};
  Event event = nullptr;
  SMDDP_RETURN_IF_ERROR(check(driver_.event_create(&event, kDisableTiming), "cuEventCreate"));
  return event;
}

void Gpu::destroy(Event event) const noexcept {
  if (in_forked_child()) return;
  const Current current{*this};
  driver_.event_destroy(event);
}

Status Gpu::query(Event event) const {
  const Current current{*this};
  const BesideCapture beside{*this};
  const int error = driver_.event_query(event);
  return error == kNotReady ? Status::again() : check(error, "cuEventQuery");
}

}  // namespace smddp::cuda
