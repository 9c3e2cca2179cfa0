// Devices, contexts and memory of the pretended driver.

#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "driver_state.h"

namespace fake_gpu {
namespace {

using Bytes = std::size_t;

constexpr int kPoison = 0xAB;
constexpr Bytes kQuarantineBytes = Bytes{64} << 20U;

struct Context {
  int device = 0;
  int retained = 0;
  std::shared_ptr<Stream> null_stream;
};

enum class Kind { kDevice, kHost, kRegistered };

struct Piece {
  Bytes bytes = 0;
  Kind kind = Kind::kDevice;
};

struct State {
  std::mutex mutex;
  std::map<std::string, long> calls;
  std::array<Context, kMostDevices> contexts;
  std::map<std::uintptr_t, Piece> pieces;
  std::deque<std::pair<void*, Bytes>> quarantine;
  Bytes quarantined = 0;
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

/// The piece that holds the address, or null; the caller holds the mutex.
const std::pair<const std::uintptr_t, Piece>* piece_of(std::uintptr_t address) {
  const auto after = state().pieces.upper_bound(address);
  if (after == state().pieces.begin()) return nullptr;
  const auto& piece = *std::prev(after);
  return address - piece.first < piece.second.bytes ? &piece : nullptr;
}

int allocate(void** result, Bytes bytes, Kind kind, Bytes alignment) {
  if (const int error = refused_in_capture(); error != kSuccess) return error;
  if (current.empty()) return kInvalidContext;
  if (bytes == 0) return kInvalidValue;
  void* const start =
      std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (start == nullptr) return kOutOfMemory;
  const std::scoped_lock lock(state().mutex);
  state().pieces[reinterpret_cast<std::uintptr_t>(start)] = {bytes, kind};
  *result = start;
  return kSuccess;
}

/// Poisons the memory and keeps it from being used again for a while: late work on a stream then
/// spoils no innocent data, and its reader sees the poison.
int release(void* start, Kind kind) {
  if (const int error = refused_in_capture(); error != kSuccess) return error;
  const std::scoped_lock lock(state().mutex);
  const auto found = state().pieces.find(reinterpret_cast<std::uintptr_t>(start));
  if (found == state().pieces.end() || found->second.kind != kind) return kInvalidValue;
  const Bytes bytes = found->second.bytes;
  state().pieces.erase(found);
  std::memset(start, kPoison, bytes);
  state().quarantine.emplace_back(start, bytes);
  state().quarantined += bytes;
  while (state().quarantined > kQuarantineBytes) {
    std::free(state().quarantine.front().first);
    state().quarantined -= state().quarantine.front().second;
    state().quarantine.pop_front();
  }
  return kSuccess;
}

}  // namespace

void note(const char* name) {
  const std::scoped_lock lock(state().mutex);
  ++state().calls[name];
}

int current_device() { return current.empty() ? -1 : current.back()->device; }

std::shared_ptr<Stream> null_stream() {
  const std::scoped_lock lock(state().mutex);
  auto& stream = state().contexts.at(current.empty() ? 0 : current.back()->device).null_stream;
  if (!stream) stream = Stream::start(current.empty() ? 0 : current.back()->device);
  return stream;
}

bool reachable(const void* start, std::size_t bytes) {
  const std::scoped_lock lock(state().mutex);
  const auto address = reinterpret_cast<std::uintptr_t>(start);
  const auto* const piece = piece_of(address);
  return piece != nullptr && bytes <= piece->second.bytes - (address - piece->first);
}

}  // namespace fake_gpu

using namespace fake_gpu;

FAKE_EXPORT long fake_cuda_calls(const char* name) {
  const std::scoped_lock lock(state().mutex);
  const auto found = state().calls.find(name);
  return found == state().calls.end() ? 0 : found->second;
}

/// 1 for memory of cuMemAlloc, 2 for memory of cuMemHostAlloc or cuMemHostRegister, else 0.
FAKE_EXPORT int fake_cuda_memory_kind(const void* address) {
  const std::scoped_lock lock(state().mutex);
  const auto* const piece = piece_of(reinterpret_cast<std::uintptr_t>(address));
  if (piece == nullptr) return 0;
  return piece->second.kind == Kind::kDevice ? 1 : 2;
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
  std::snprintf(name, static_cast<Bytes>(size), "Fake GPU %d", device);
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

/// The compute capability is that of sm_90; all else is 0.
FAKE_EXPORT int cuDeviceGetAttribute(int* value, int attribute, int device) {
  note(__func__);
  if (!is_device(device)) return kInvalidDevice;
  *value = attribute == 75 ? 9 : 0;
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
  found.device = device;
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

FAKE_EXPORT int cuMemAlloc_v2(DevicePointer* result, Bytes bytes) {
  note(__func__);
  void* start = nullptr;
  const int error = allocate(&start, bytes, Kind::kDevice, 256);
  if (error == kSuccess) *result = reinterpret_cast<DevicePointer>(start);
  return error;
}

FAKE_EXPORT int cuMemFree_v2(DevicePointer start) {
  note(__func__);
  return start == 0 ? kSuccess : release(reinterpret_cast<void*>(start), Kind::kDevice);
}

FAKE_EXPORT int cuMemHostAlloc(void** result, Bytes bytes, unsigned /*flags*/) {
  note(__func__);
  return allocate(result, bytes, Kind::kHost, 4096);
}

FAKE_EXPORT int cuMemFreeHost(void* start) {
  note(__func__);
  return release(start, Kind::kHost);
}

FAKE_EXPORT int cuMemHostRegister_v2(void* start, Bytes bytes, unsigned /*flags*/) {
  note(__func__);
  if (current.empty()) return kInvalidContext;
  if (start == nullptr || bytes == 0) return kInvalidValue;
  const std::scoped_lock lock(state().mutex);
  const Piece piece{bytes, Kind::kRegistered};
  const bool added = state().pieces.emplace(reinterpret_cast<std::uintptr_t>(start), piece).second;
  return added ? kSuccess : kInvalidValue;
}

FAKE_EXPORT int cuMemHostUnregister(void* start) {
  note(__func__);
  const std::scoped_lock lock(state().mutex);
  const auto found = state().pieces.find(reinterpret_cast<std::uintptr_t>(start));
  if (found == state().pieces.end() || found->second.kind != Kind::kRegistered)
    return kInvalidValue;
  state().pieces.erase(found);
  return kSuccess;
}

FAKE_EXPORT int cuMemHostGetDevicePointer_v2(DevicePointer* result, void* start,
                                             unsigned /*flags*/) {
  note(__func__);
  if (!reachable(start, 1)) return kInvalidValue;
  *result = reinterpret_cast<DevicePointer>(start);
  return kSuccess;
}
