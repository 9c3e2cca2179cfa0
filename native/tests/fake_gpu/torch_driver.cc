#include "torch_driver.h"

#include <dlfcn.h>

#include <array>
#include <cstdlib>
#include <string>

#include <c10/util/Exception.h>

namespace fake_gpu {
namespace {

/// FAKE_CUDA_LIBRARY, or the library beside this one.
std::string library_path() {
  if (const char* const path = std::getenv("FAKE_CUDA_LIBRARY")) return path;
  Dl_info info{};
  TORCH_CHECK(::dladdr(reinterpret_cast<void*>(&library_path), &info) != 0, "dladdr failed");
  const std::string own = info.dli_fname;
  return own.substr(0, own.rfind('/') + 1) + "libcuda.so.1";
}

template <typename Function>
void find(void* library, const char* name, Function*& function) {
  function = reinterpret_cast<Function*>(::dlsym(library, name));
  TORCH_CHECK(function != nullptr, "the fake CUDA driver lacks ", name);
}

void find_streams(void* library, Driver& table) {
  find(library, "cuStreamCreateWithPriority", table.stream_create);
  find(library, "cuStreamQuery", table.stream_query);
  find(library, "cuStreamSynchronize", table.stream_synchronize);
  find(library, "cuStreamWaitEvent", table.stream_wait);
  find(library, "cuStreamIsCapturing", table.stream_is_capturing);
  find(library, "cuStreamBeginCapture_v2", table.stream_begin_capture);
  find(library, "cuStreamEndCapture", table.stream_end_capture);
  find(library, "cuEventCreate", table.event_create);
  find(library, "cuEventDestroy_v2", table.event_destroy);
  find(library, "cuEventRecord", table.event_record);
  find(library, "cuEventQuery", table.event_query);
  find(library, "cuEventSynchronize", table.event_synchronize);
  find(library, "cuEventElapsedTime", table.event_elapsed);
  find(library, "fake_cuda_hold", table.hold);
  find(library, "fake_cuda_release", table.release);
  find(library, "fake_cuda_replay", table.replay);
  find(library, "fake_cuda_after", table.after);
}

void find_others(void* library, Driver& table) {
  find(library, "cuInit", table.init);
  find(library, "cuDeviceGetCount", table.device_count);
  find(library, "cuGetErrorString", table.error_string);
  find(library, "cuDevicePrimaryCtxRetain", table.context_retain);
  find(library, "cuCtxPushCurrent_v2", table.context_push);
  find(library, "cuCtxPopCurrent_v2", table.context_pop);
  find(library, "cuCtxSynchronize", table.context_synchronize);
  find(library, "cuThreadExchangeStreamCaptureMode", table.exchange_capture_mode);
  find(library, "cuMemAlloc_v2", table.memory_allocate);
  find(library, "cuMemFree_v2", table.memory_free);
  find(library, "cuMemHostAlloc", table.host_allocate);
  find(library, "cuMemFreeHost", table.host_free);
  find(library, "cuMemcpyDtoHAsync_v2", table.copy_to_host);
  find(library, "cuMemcpyHtoDAsync_v2", table.copy_to_device);
  find(library, "cuMemcpyDtoDAsync_v2", table.copy_on_device);
  find(library, "cuMemsetD8Async", table.fill_bytes);
  find(library, "fake_cuda_memory_kind", table.memory_kind);
  find(library, "fake_cuda_calls", table.calls);
}

Driver load() {
  // By its path, so that it is this copy which later users find under the name libcuda.so.1.
  const std::string path = library_path();
  void* const library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  TORCH_CHECK(library != nullptr, ::dlerror());
  Driver table{};
  find_streams(library, table);
  find_others(library, table);
  TORCH_CHECK(table.init(0) == 0, "cuInit");
  return table;
}

/// Contexts of all devices; retained for good.
const std::array<void*, kMostDevices>& contexts() {
  static const auto retained = [] {
    std::array<void*, kMostDevices> all{};
    for (c10::DeviceIndex device = 0; device < device_count(); ++device)
      check(driver().context_retain(&all.at(device), device), "cuDevicePrimaryCtxRetain");
    return all;
  }();
  return retained;
}

}  // namespace

const Driver& driver() {
  static const Driver table = load();
  return table;
}

void check(int error, const char* call) {
  if (error == 0) return;
  const char* text = nullptr;
  if (driver().error_string(error, &text) != 0) text = "unknown error";
  TORCH_CHECK(false, call, ": ", text, " (", error, ")");
}

c10::DeviceIndex device_count() noexcept {
  try {
    static const int count = [] {
      int number = 0;
      check(driver().device_count(&number), "cuDeviceGetCount");
      return number;
    }();
    return static_cast<c10::DeviceIndex>(count);
  } catch (const c10::Error&) {
    return 0;
  }
}

InContext::InContext(c10::DeviceIndex device) {
  TORCH_CHECK(device >= 0 && device < device_count(),
              "no device fakegpu:", static_cast<int>(device));
  check(driver().context_push(contexts().at(device)), "cuCtxPushCurrent");
}

InContext::~InContext() { driver().context_pop(nullptr); }

OutOfCapture::OutOfCapture() { driver().exchange_capture_mode(&mode_); }
OutOfCapture::~OutOfCapture() { driver().exchange_capture_mode(&mode_); }

void synchronize(const c10::Stream& stream) {
  const InContext context(stream.device_index());
  check(driver().stream_synchronize(native(stream)), "cuStreamSynchronize");
}

void synchronize_current_streams() {
  for (c10::DeviceIndex device = 0; device < device_count(); ++device)
    synchronize(current_stream(device));
}

bool is_capturing(const c10::Stream& stream) {
  const InContext context(stream.device_index());
  int status = 0;
  check(driver().stream_is_capturing(native(stream), &status), "cuStreamIsCapturing");
  return status != 0;
}

}  // namespace fake_gpu
