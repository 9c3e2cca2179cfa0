// Devices, streams and events of the pretended torch device.

#include <algorithm>
#include <array>
#include <mutex>
#include <vector>

#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <c10/util/Exception.h>

#include "torch_driver.h"

namespace fake_gpu {
namespace {

constexpr c10::DeviceType kType = c10::kPrivateUse1;
constexpr std::size_t kPoolSize = 32;  // as torch has

/// Streams of one device. Stream number n of torch is entry n - 1; number 0 is the null stream.
struct Streams {
  std::vector<DriverStream> made;
  std::array<c10::StreamId, kPoolSize> pool{};
  std::size_t next_in_pool = 0;
};

struct State {
  std::mutex mutex;
  std::array<Streams, kMostDevices> streams;
};

/// Never destroyed: threads use it while the process ends.
State& state() {
  static State& object = *new State;
  return object;
}

thread_local c10::DeviceIndex device_now = 0;
thread_local std::array<c10::StreamId, kMostDevices> streams_now{};

c10::Stream stream_of(c10::DeviceIndex device, c10::StreamId number) {
  return c10::Stream(c10::Stream::UNSAFE, c10::Device(kType, device), number);
}

c10::DeviceIndex index_of(c10::Device device) {
  return device.has_index() ? device.index() : device_now;
}

/// The caller holds the mutex.
c10::StreamId make_stream(c10::DeviceIndex device, int priority) {
  auto& made = state().streams.at(device).made;
  const InContext context(device);
  DriverStream stream = nullptr;
  check(driver().stream_create(&stream, 1, priority), "cuStreamCreateWithPriority");
  made.push_back(stream);
  return static_cast<c10::StreamId>(made.size());
}

class Guard final : public c10::impl::DeviceGuardImplInterface {
 public:
  c10::DeviceType type() const override { return kType; }

  c10::Device exchangeDevice(c10::Device device) const override {
    const c10::Device before = getDevice();
    setDevice(device);
    return before;
  }
  c10::Device getDevice() const override { return {kType, device_now}; }
  void setDevice(c10::Device device) const override {
    TORCH_CHECK(device.index() >= 0 && device.index() < device_count(), "no device ", device);
    device_now = device.index();
  }
  void uncheckedSetDevice(c10::Device device) const noexcept override {
    if (device.has_index()) device_now = device.index();
  }
  c10::DeviceIndex deviceCount() const noexcept override { return device_count(); }
  c10::DeviceCapability getDeviceCapability(c10::Device /*device*/) const override { return {}; }
  void synchronizeDevice(c10::DeviceIndex device) const override {
    const InContext context(device);
    check(driver().context_synchronize(), "cuCtxSynchronize");
  }

  c10::Stream getStream(c10::Device device) const override {
    return current_stream(index_of(device));
  }
  c10::Stream getDefaultStream(c10::Device device) const override {
    return stream_of(index_of(device), 0);
  }
  c10::Stream getStreamFromGlobalPool(c10::Device device, bool /*isHighPriority*/) const override {
    const std::scoped_lock lock(state().mutex);
    Streams& streams = state().streams.at(index_of(device));
    c10::StreamId& number = streams.pool.at(streams.next_in_pool++ % kPoolSize);
    if (number == 0) number = make_stream(index_of(device), 0);
    return stream_of(index_of(device), number);
  }
  c10::Stream getNewStream(c10::Device device, int priority) const override {
    const std::scoped_lock lock(state().mutex);
    return stream_of(index_of(device), make_stream(index_of(device), priority));
  }
  c10::Stream exchangeStream(c10::Stream stream) const override {
    const c10::Stream before = current_stream(stream.device_index());
    streams_now.at(stream.device_index()) = stream.id();
    return before;
  }
  void* getStreamNativeHandle(const c10::Stream stream) const override { return native(stream); }
  bool queryStream(const c10::Stream& stream) const override {
    const InContext context(stream.device_index());
    return ready(driver().stream_query(native(stream)), "cuStreamQuery");
  }
  void synchronizeStream(const c10::Stream& stream) const override { synchronize(stream); }
  bool isStreamCapturing(const c10::Stream& stream) const override { return is_capturing(stream); }
  void recordDataPtrOnStream(const c10::DataPtr& memory, const c10::Stream& stream) const override {
    use_on(memory, stream);
  }

  void record(void** event, const c10::Stream& stream, const c10::DeviceIndex device,
              const c10::EventFlag /*flag*/) const override {
    TORCH_CHECK(device == -1 || device == stream.device_index(),
                "event and stream differ in device");
    const InContext context(stream.device_index());
    if (*event == nullptr) check(driver().event_create(event, 0), "cuEventCreate");
    check(driver().event_record(*event, native(stream)), "cuEventRecord");
  }
  void block(void* event, const c10::Stream& stream) const override {
    if (event == nullptr) return;
    const InContext context(stream.device_index());
    check(driver().stream_wait(native(stream), event, 0), "cuStreamWaitEvent");
  }
  bool queryEvent(void* event) const override {
    return event == nullptr || ready(driver().event_query(event), "cuEventQuery");
  }
  void synchronizeEvent(void* event) const override {
    if (event != nullptr) check(driver().event_synchronize(event), "cuEventSynchronize");
  }
  void destroyEvent(void* event, const c10::DeviceIndex /*device*/) const noexcept override {
    if (event != nullptr) driver().event_destroy(event);
  }
  double elapsedTime(void* first, void* second, const c10::DeviceIndex /*device*/) const override {
    float milliseconds = 0;
    check(driver().event_elapsed(&milliseconds, first, second), "cuEventElapsedTime");
    return milliseconds;
  }

 private:
  static bool ready(int answer, const char* call) {
    constexpr int kNotReady = 600;
    if (answer != kNotReady) check(answer, call);
    return answer == 0;
  }
};

C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard);

class Hooks final : public at::PrivateUse1HooksInterface {
 public:
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return device_count() > 0; }
  bool hasPrimaryContext(c10::DeviceIndex /*device*/) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return device_count(); }
  void setCurrentDevice(c10::DeviceIndex device) const override {
    Guard().setDevice({kType, device});
  }
  c10::DeviceIndex getCurrentDevice() const override { return device_now; }
  c10::DeviceIndex exchangeDevice(c10::DeviceIndex device) const override {
    return Guard().exchangeDevice({kType, device}).index();
  }
  c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex device) const override {
    return device < 0 ? device_now : exchangeDevice(device);
  }
  bool isPinnedPtr(const void* data) const override { return driver().memory_kind(data) == 2; }
  c10::Allocator* getPinnedMemoryAllocator() const override { return pinned_allocator(); }
  c10::Device getDeviceFromPtr(void* /*data*/) const override { return {kType, device_now}; }

  void resizePrivateUse1Bytes(const c10::Storage& storage, std::size_t bytes) const override {
    synchronize_current_streams();
    auto memory = device_allocator()->allocate(bytes);
    device_allocator()->copy_data(memory.get(), storage.data(), std::min(bytes, storage.nbytes()));
    storage.set_data_ptr_noswap(std::move(memory));
    storage.set_nbytes(bytes);
  }
};

const bool registered = [] {
  c10::SetAllocator(kType, device_allocator());
  at::RegisterPrivateUse1HooksInterface(new Hooks);
  return true;
}();

}  // namespace

c10::Stream current_stream(c10::DeviceIndex device) {
  return stream_of(device, streams_now.at(device));
}

DriverStream native(const c10::Stream& stream) {
  if (stream.id() == 0) return nullptr;
  const std::scoped_lock lock(state().mutex);
  return state()
      .streams.at(stream.device_index())
      .made.at(static_cast<std::size_t>(stream.id() - 1));
}

}  // namespace fake_gpu
