// Devices and contexts of the pretended driver.

#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "driver_state.h"

namespace fake_gpu {
namespace {

struct Context {
  int device = 0;
  int retained = 0;
  std::shared_ptr<Stream> null_stream;
};

struct State {
  std::mutex mutex;
  std::map<std::string, long> calls;
  std::map<std::string, int> refusals;  ///< that are still to come
  std::array<Context, kMostDevices> contexts;
  const std::int64_t started = std::chrono::steady_clock::now().time_since_epoch().count();
};

/// Never destroyed: streams still run while the process ends.
State& state() {
  static State& object = *new State;
  return object;
}

/// Contexts that a thread pushed. Needs no destructor: memory is freed late in a thread's life too.
struct ContextStack {
  std::array<Context*, 64> contexts;
  std::size_t depth;
  [[nodiscard]] bool empty() const { return depth == 0; }
  [[nodiscard]] Context* back() const { return contexts.at(depth - 1); }
  void push_back(Context* context) { contexts.at(depth++) = context; }
  void pop_back() { --depth; }
};
thread_local ContextStack current{};

bool set(const char* variable) {
  const char* const text = std::getenv(variable);
  return text != nullptr && std::strcmp(text, "1") == 0;
}

int device_count() {
  const char* const text = std::getenv("FAKE_GPU_COUNT");
  const long count = text == nullptr ? 1 : std::strtol(text, nullptr, 10);
  return count < 0 || count > kMostDevices ? 0 : static_cast<int>(count);
}

bool is_device(int device) { return device >= 0 && device < device_count(); }

}  // namespace

void note(const char* name) {
  const std::scoped_lock lock(state().mutex);
  ++state().calls[name];
}

bool fails_for_test(const char* name) {
  const std::scoped_lock lock(state().mutex);
  const auto found = state().refusals.find(name);
  return found != state().refusals.end() && found->second-- > 0;
}

int current_device() { return current.empty() ? -1 : current.back()->device; }

std::shared_ptr<Stream> null_stream() {
  const std::scoped_lock lock(state().mutex);
  auto& stream = state().contexts.at(current.empty() ? 0 : current.back()->device).null_stream;
  if (!stream) stream = Stream::start(current.empty() ? 0 : current.back()->device);
  return stream;
}

}  // namespace fake_gpu

using namespace fake_gpu;

FAKE_EXPORT long fake_cuda_calls(const char* name) {
  const std::scoped_lock lock(state().mutex);
  const auto found = state().calls.find(name);
  return found == state().calls.end() ? 0 : found->second;
}

/// The next calls of the function fail, so many: cuMemAlloc_v2, of a MiB or more, or
/// cuStreamCreateWithPriority.
FAKE_EXPORT int fake_cuda_refuse(const char* name, int times) {
  const std::scoped_lock lock(state().mutex);
  state().refusals[name] = times;
  return kSuccess;
}

FAKE_EXPORT int cuInit(unsigned flags) {
  note(__func__);
  return flags == 0 ? kSuccess : kInvalidValue;
}

FAKE_EXPORT int cuDriverGetVersion(int* version) {
  note(__func__);
  *version = 13000;
  return kSuccess;
}

FAKE_EXPORT int cuDeviceGetCount(int* count) {
  note(__func__);
  *count = device_count();
  return kSuccess;
}

FAKE_EXPORT int cuDeviceGet(int* device, int ordinal) {
  note(__func__);
  if (!is_device(ordinal)) return kInvalidDevice;
  *device = ordinal;
  return kSuccess;
}

FAKE_EXPORT int cuDeviceGetName(char* name, int size, int device) {
  note(__func__);
  if (!is_device(device)) return kInvalidDevice;
  std::snprintf(name, static_cast<std::size_t>(size), "Fake GPU %d", device);
  return kSuccess;
}

/// Pretended devices of two processes are two devices, unless the test says that they share.
FAKE_EXPORT int cuDeviceGetUuid_v2(char* uuid, int device) {
  note(__func__);
  if (!is_device(device)) return kInvalidDevice;
  const bool shared = set("FAKE_GPU_SHARED");
  const std::int32_t process = shared ? 0 : ::getpid();
  const std::int64_t started = shared ? 0 : state().started;
  const std::int32_t ordinal = device;
  std::memcpy(uuid, &process, 4);
  std::memcpy(uuid + 4, &started, 8);
  std::memcpy(uuid + 12, &ordinal, 4);
  return kSuccess;
}

FAKE_EXPORT int cuDeviceGetPCIBusId(char* id, int size, int device) {
  note(__func__);
  if (!is_device(device)) return kInvalidDevice;
  const unsigned process = set("FAKE_GPU_SHARED") ? 0 : static_cast<unsigned>(::getpid());
  std::snprintf(id, static_cast<std::size_t>(size), "%08x:%02x:00.0", process,
                static_cast<unsigned>(device));
  return kSuccess;
}

/// The compute capability is that of sm_90, and there are 2 multiprocessors; all else is 0.
FAKE_EXPORT int cuDeviceGetAttribute(int* value, int attribute, int device) {
  note(__func__);
  if (!is_device(device)) return kInvalidDevice;
  *value = attribute == 75 ? 9 : attribute == 16 ? 2 : 0;
  return kSuccess;
}

FAKE_EXPORT int cuGetErrorString(int error, const char** text) {
  note(__func__);
  static const std::map<int, const char*> texts{
      {kSuccess, "no error"},
      {kInvalidValue, "invalid argument"},
      {kOutOfMemory, "out of memory"},
      {kInvalidDevice, "invalid device ordinal"},
      {kInvalidContext, "invalid device context"},
      {kInvalidHandle, "invalid resource handle"},
      {kInvalidImage, "device kernel image is invalid"},
      {kNotFound, "named symbol not found"},
      {kAlreadyRegistered, "part or all of the requested memory range is already mapped"},
      {kNotReady, "device not ready"},
      {kNotPermitted, "operation not permitted"},
      {kCaptureUnsupported, "operation not permitted when stream is capturing"},
      {kCaptureMerge, "two captures cannot become one"},
      {kCaptureUnjoined, "a stream that joined the capture was not joined back"},
      {kCaptureIsolation, "a captured stream cannot wait for work outside the capture"},
      {kCaptureImplicit, "a null stream cannot be captured"},
      {kCaptureUnmatched, "the capture was not initiated in this stream"},
      {kCapturedEvent, "operation not permitted on an event last recorded in a capturing stream"}};
  const auto found = texts.find(error);
  *text = found == texts.end() ? nullptr : found->second;
  return found == texts.end() ? kInvalidValue : kSuccess;
}

FAKE_EXPORT int cuDevicePrimaryCtxRetain(void** context, int device) {
  note(__func__);
  if (!is_device(device)) return kInvalidDevice;
  const std::scoped_lock lock(state().mutex);
  Context& found = state().contexts.at(device);
  if (found.retained == 0) found.device = device;
  ++found.retained;
  *context = &found;
  return kSuccess;
}

FAKE_EXPORT int cuDevicePrimaryCtxRelease_v2(int device) {
  note(__func__);
  if (!is_device(device)) return kInvalidDevice;
  const std::scoped_lock lock(state().mutex);
  Context& found = state().contexts.at(device);
  if (found.retained == 0) return kInvalidContext;
  --found.retained;
  return kSuccess;
}

FAKE_EXPORT int cuCtxPushCurrent_v2(void* context) {
  note(__func__);
  const std::scoped_lock lock(state().mutex);
  for (Context& known : state().contexts) {
    if (&known != context || known.retained == 0) continue;
    current.push_back(&known);
    return kSuccess;
  }
  return kInvalidContext;
}

FAKE_EXPORT int cuCtxPopCurrent_v2(void** context) {
  note(__func__);
  if (current.empty()) return kInvalidContext;
  if (context != nullptr) *context = current.back();
  current.pop_back();
  return kSuccess;
}

FAKE_EXPORT int cuCtxGetCurrent(void** context) {
  note(__func__);
  *context = current.empty() ? nullptr : current.back();
  return kSuccess;
}

FAKE_EXPORT int cuCtxGetDevice(int* device) {
  note(__func__);
  *device = current_device();
  return current.empty() ? kInvalidContext : kSuccess;
}
