// Memory of the pretended driver. That of the device lies in a file without a name, so that other
// processes can open parts of it.

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
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
constexpr Bytes kPage = 4096;
constexpr Bytes kLarge = Bytes{1} << 20U;
constexpr Bytes kHeapBytes = Bytes{64} << 30U;  // of addresses, which are used once

enum class Kind { kDevice, kHost, kRegistered, kOpened };

struct Piece {
  Bytes bytes = 0;
  Kind kind = Kind::kDevice;
  unsigned long long id = 0;  ///< no other one has or had it
  int users = 1;              ///< how often it was opened
};

/// What an IPC handle holds: a part of another process's file.
struct Shared {
  pid_t process;
  int file;
  Bytes offset;
  Bytes bytes;
};

/// The device's memory. Pages cost nothing until they are touched.
struct Heap {
  const int file = ::memfd_create("pretended GPU", MFD_CLOEXEC);
  std::byte* const start = map();
  Bytes used = 0;

  [[nodiscard]] std::byte* map() const {
    if (file < 0 || ::ftruncate(file, kHeapBytes) != 0) return nullptr;
    void* const at =
        ::mmap(nullptr, kHeapBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0);
    return at == MAP_FAILED ? nullptr : static_cast<std::byte*>(at);
  }
  [[nodiscard]] Bytes offset(const void* memory) const {
    return static_cast<Bytes>(static_cast<const std::byte*>(memory) - start);
  }
};

struct State {
  std::mutex mutex;
  Heap heap;
  std::map<std::uintptr_t, Piece> pieces;
  unsigned long long last_id = 0;
  std::map<std::pair<pid_t, Bytes>, DevicePointer> opened;  ///< by process and place
  std::deque<std::pair<void*, Piece>> quarantine;
  Bytes quarantined = 0;
};

/// Never destroyed: streams still run while the process ends.
State& state() {
  static State& object = *new State;
  return object;
}

Bytes pages(Bytes bytes) { return (bytes + kPage - 1) / kPage * kPage; }

/// The piece that holds the address, or null; the caller holds the mutex.
const std::pair<const std::uintptr_t, Piece>* piece_of(std::uintptr_t address) {
  const auto after = state().pieces.upper_bound(address);
  if (after == state().pieces.begin()) return nullptr;
  const auto& piece = *std::prev(after);
  return address - piece.first < piece.second.bytes ? &piece : nullptr;
}

void* take(Bytes bytes, Kind kind) {
  if (kind == Kind::kHost) return std::aligned_alloc(kPage, pages(bytes));
  Heap& heap = state().heap;
  if (heap.start == nullptr || pages(bytes) > kHeapBytes - heap.used) return nullptr;
  std::byte* const start = heap.start + heap.used;
  heap.used += pages(bytes);
  return start;
}

/// Its pages, not its addresses: whoever uses these later finds zeros.
void give_back(void* start, Piece piece) {
  if (piece.kind == Kind::kHost) return std::free(start);
  const auto offset = static_cast<off_t>(state().heap.offset(start));
  ::fallocate(state().heap.file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset,
              static_cast<off_t>(pages(piece.bytes)));
}

int allocate(void** result, Bytes bytes, Kind kind) {
  if (const int error = refused_in_capture(); error != kSuccess) return error;
  if (current_device() < 0) return kInvalidContext;
  if (bytes == 0) return kInvalidValue;
  const std::scoped_lock lock(state().mutex);
  void* const start = take(bytes, kind);
  if (start == nullptr) return kOutOfMemory;
  state().pieces[reinterpret_cast<std::uintptr_t>(start)] = {bytes, kind, ++state().last_id};
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
  const Piece piece = found->second;
  state().pieces.erase(found);
  std::memset(start, kPoison, piece.bytes);
  state().quarantine.emplace_back(start, piece);
  state().quarantined += piece.bytes;
  while (state().quarantined > kQuarantineBytes) {
    const auto [oldest, what] = state().quarantine.front();
    state().quarantine.pop_front();
    state().quarantined -= what.bytes;
    give_back(oldest, what);
  }
  return kSuccess;
}

/// Notes memory that somebody else made.
int add(void* start, Bytes bytes, Kind kind) {
  const std::scoped_lock lock(state().mutex);
  const Piece piece{bytes, kind, ++state().last_id};
  const bool added = state().pieces.emplace(reinterpret_cast<std::uintptr_t>(start), piece).second;
  return added ? kSuccess : kAlreadyRegistered;
}

/// What is opened twice is there once.
bool opened_again(const Shared& shared, DevicePointer* result) {
  const std::scoped_lock lock(state().mutex);
  const auto found = state().opened.find({shared.process, shared.offset});
  if (found == state().opened.end()) return false;
  ++state().pieces.at(found->second).users;
  *result = found->second;
  return true;
}

/// Forgets it; how many bytes it had, 0: there is none.
Bytes remove(void* start, Kind kind) {
  const std::scoped_lock lock(state().mutex);
  const auto found = state().pieces.find(reinterpret_cast<std::uintptr_t>(start));
  if (found == state().pieces.end() || found->second.kind != kind) return 0;
  const Bytes bytes = found->second.bytes;
  state().pieces.erase(found);
  return bytes;
}

}  // namespace

bool reachable(const void* start, std::size_t bytes) {
  const std::scoped_lock lock(state().mutex);
  const auto address = reinterpret_cast<std::uintptr_t>(start);
  const auto* const piece = piece_of(address);
  return piece != nullptr && bytes <= piece->second.bytes - (address - piece->first);
}

}  // namespace fake_gpu

using namespace fake_gpu;

/// 1 for memory of cuMemAlloc, 2 for memory of cuMemHostAlloc or cuMemHostRegister, 3 for that of
/// another process, else 0.
FAKE_EXPORT int fake_cuda_memory_kind(const void* address) {
  const std::scoped_lock lock(state().mutex);
  const auto* const piece = piece_of(reinterpret_cast<std::uintptr_t>(address));
  if (piece == nullptr) return 0;
  if (piece->second.kind == Kind::kOpened) return 3;
  return piece->second.kind == Kind::kDevice ? 1 : 2;
}

FAKE_EXPORT int cuMemAlloc_v2(DevicePointer* result, Bytes bytes) {
  note(__func__);
  if (bytes >= kLarge && fails_for_test(__func__)) return kOutOfMemory;
  void* start = nullptr;
  const int error = allocate(&start, bytes, Kind::kDevice);
  if (error == kSuccess) *result = reinterpret_cast<DevicePointer>(start);
  return error;
}

FAKE_EXPORT int cuMemFree_v2(DevicePointer start) {
  note(__func__);
  return start == 0 ? kSuccess : release(reinterpret_cast<void*>(start), Kind::kDevice);
}

FAKE_EXPORT int cuMemHostAlloc(void** result, Bytes bytes, unsigned /*flags*/) {
  note(__func__);
  return allocate(result, bytes, Kind::kHost);
}

FAKE_EXPORT int cuMemFreeHost(void* start) {
  note(__func__);
  return release(start, Kind::kHost);
}

FAKE_EXPORT int cuMemHostRegister_v2(void* start, Bytes bytes, unsigned /*flags*/) {
  note(__func__);
  if (current_device() < 0) return kInvalidContext;
  if (start == nullptr || bytes == 0) return kInvalidValue;
  return add(start, bytes, Kind::kRegistered);
}

FAKE_EXPORT int cuMemHostUnregister(void* start) {
  note(__func__);
  return remove(start, Kind::kRegistered) > 0 ? kSuccess : kInvalidValue;
}

FAKE_EXPORT int cuMemHostGetDevicePointer_v2(DevicePointer* result, void* start,
                                             unsigned /*flags*/) {
  note(__func__);
  if (!reachable(start, 1)) return kInvalidValue;
  *result = reinterpret_cast<DevicePointer>(start);
  return kSuccess;
}

struct IpcHandle {
  char bytes[64];
};

FAKE_EXPORT int cuIpcGetMemHandle(IpcHandle* handle, DevicePointer memory) {
  note(__func__);
  const std::scoped_lock lock(state().mutex);
  const auto found = state().pieces.find(memory);
  if (found == state().pieces.end() || found->second.kind != Kind::kDevice) return kInvalidValue;
  const Shared shared{::getpid(), state().heap.file,
                      state().heap.offset(reinterpret_cast<void*>(memory)), found->second.bytes};
  std::memcpy(handle->bytes, &shared, sizeof(shared));
  return kSuccess;
}

/// As of the real one, a process cannot open what is its own.
FAKE_EXPORT int cuIpcOpenMemHandle_v2(DevicePointer* result, IpcHandle handle, unsigned flags) {
  note(__func__);
  if (const char* const broken = std::getenv("FAKE_GPU_IPC"); broken != nullptr && *broken == '0')
    return kNotPermitted;
  Shared shared{};
  std::memcpy(&shared, handle.bytes, sizeof(shared));
  if (opened_again(shared, result)) return kSuccess;
  if (current_device() < 0 || shared.process == ::getpid()) return kInvalidContext;
  if (flags != 1) return kInvalidValue;
  const std::string path =
      "/proc/" + std::to_string(shared.process) + "/fd/" + std::to_string(shared.file);
  const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) return kInvalidHandle;
  void* const start = ::mmap(nullptr, pages(shared.bytes), PROT_READ | PROT_WRITE, MAP_SHARED, file,
                             static_cast<off_t>(shared.offset));
  ::close(file);
  if (start == MAP_FAILED) return kOutOfMemory;
  *result = reinterpret_cast<DevicePointer>(start);
  const std::scoped_lock lock(state().mutex);
  state().opened[{shared.process, shared.offset}] = *result;
  state().pieces[*result] = {shared.bytes, Kind::kOpened, ++state().last_id};
  return kSuccess;
}

/// Waits for all streams, as the real one may.
FAKE_EXPORT int cuIpcCloseMemHandle(DevicePointer memory) {
  for (const auto& stream : all_streams()) stream->drain();
  note(__func__);
  const std::scoped_lock lock(state().mutex);
  const auto found = state().pieces.find(memory);
  if (found == state().pieces.end() || found->second.kind != Kind::kOpened) return kInvalidValue;
  if (--found->second.users > 0) return kSuccess;
  ::munmap(reinterpret_cast<void*>(memory), pages(found->second.bytes));
  state().pieces.erase(found);
  std::erase_if(state().opened, [&](const auto& one) { return one.second == memory; });
  return kSuccess;
}

/// Of memory that nobody has asked for, all is 0, as of the real one.
FAKE_EXPORT int cuPointerGetAttributes(unsigned count, const int* attributes, void** values,
                                       DevicePointer memory) {
  note(__func__);
  constexpr int kBufferId = 7;
  constexpr int kRangeStart = 11;
  constexpr int kRangeBytes = 12;
  const std::scoped_lock lock(state().mutex);
  const auto* const piece = piece_of(memory);
  for (unsigned k = 0; k < count; ++k) {
    unsigned long long value = 0;
    if (attributes[k] == kBufferId) {
      value = piece != nullptr ? piece->second.id : 0;
    } else if (attributes[k] == kRangeStart) {
      value = piece != nullptr ? piece->first : 0;
    } else if (attributes[k] == kRangeBytes) {
      value = piece != nullptr ? piece->second.bytes : 0;
    } else {
      return kInvalidValue;
    }
    std::memcpy(values[k], &value, sizeof(value));
  }
  return kSuccess;
}
