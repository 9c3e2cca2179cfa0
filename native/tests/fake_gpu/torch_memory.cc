// Memory of the pretended torch device.

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/Exception.h>

#include "torch_driver.h"

namespace fake_gpu {
namespace {

constexpr unsigned char kPoison = 0xAB;

/// Memory of the device, or pinned memory of the host. It ends with its last holder: the tensor's
/// storage, or queued work of this device. Work holds no storage, because the end of one can need
/// Python's lock, which somebody who waits for the work may have.
struct Block {
  DevicePointer start = 0;
  std::size_t bytes = 0;
  bool pinned = false;
  c10::Stream stream;                ///< current when the memory was asked for
  std::vector<c10::Stream> users{};  ///< from record_stream
  std::atomic<int> holders{1};
};

std::mutex& users_mutex() {
  static auto& mutex = *new std::mutex;
  return mutex;
}

/// FAKE_GPU_FREE=stream: freed memory is poisoned as soon as the stream that it was allocated on,
/// and those that record_stream named, have come so far; CUDA's caching allocator reuses it then.
/// Else: at once, whatever streams still do.
bool frees_in_order() {
  static const bool ordered = [] {
    const char* const text = std::getenv("FAKE_GPU_FREE");
    return text != nullptr && std::strcmp(text, "stream") == 0;
  }();
  return ordered;
}

void free_now(void* raw) {
  const std::unique_ptr<Block> block(static_cast<Block*>(raw));
  const OutOfCapture quiet;
  const int error = block->pinned ? driver().host_free(reinterpret_cast<void*>(block->start))
                                  : driver().memory_free(block->start);
  if (error != 0) TORCH_WARN("cuMemFree failed: ", error);
}

/// A stream of the device on which only freed blocks wait for their users.
DriverStream undertaker(c10::DeviceIndex device) {
  static const auto streams = [] {
    std::vector<DriverStream> all(static_cast<std::size_t>(device_count()));
    for (std::size_t place = 0; place < all.size(); ++place) {
      const InContext context(static_cast<c10::DeviceIndex>(place));
      check(driver().stream_create(&all[place], 1, 0), "cuStreamCreate");
    }
    return all;
  }();
  return streams.at(static_cast<std::size_t>(device));
}

void free_after_users(std::unique_ptr<Block> block) {
  const DriverStream waiting = undertaker(block->stream.device_index());
  block->users.push_back(block->stream);
  for (const c10::Stream& user : block->users) {
    const InContext context(user.device_index());
    DriverEvent event = nullptr;
    check(driver().event_create(&event, 2), "cuEventCreate");
    check(driver().event_record(event, native(user)), "cuEventRecord");
    check(driver().stream_wait(waiting, event, 0), "cuStreamWaitEvent");
    check(driver().event_destroy(event), "cuEventDestroy");
  }
  check(driver().after(waiting, &free_now, block.release()), "fake_cuda_after");
}

void free_in_order(std::unique_ptr<Block> block) {
  bool captured = is_capturing(block->stream);
  for (const c10::Stream& user : block->users) captured = captured || is_capturing(user);
  if (captured) {
    static_cast<void>(block.release());  // replays use the memory
    return;
  }
  if (!block->users.empty()) {
    free_after_users(std::move(block));
    return;
  }
  const InContext context(block->stream.device_index());
  const DriverStream stream = native(block->stream);
  check(driver().fill_bytes(block->start, kPoison, block->bytes, stream), "cuMemsetD8Async");
  check(driver().after(stream, &free_now, block.release()), "fake_cuda_after");
}

void drop(void* raw) {
  auto* const block = static_cast<Block*>(raw);
  if (--block->holders != 0) return;
  if (block->pinned || !frees_in_order()) {
    free_now(raw);
    return;
  }
  try {
    free_in_order(std::unique_ptr<Block>(static_cast<Block*>(raw)));
  } catch (const c10::Error& error) {
    TORCH_WARN("a block was not freed: ", error.what_without_backtrace());
  }
}

c10::Stream current_stream() {
  return c10::impl::VirtualGuardImpl(c10::kPrivateUse1).getStream({c10::kPrivateUse1, -1});
}

class DeviceAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    const c10::Stream stream = current_stream();
    if (bytes == 0) return {nullptr, stream.device()};
    const InContext context(stream.device_index());
    const OutOfCapture quiet;
    std::unique_ptr<Block> block(new Block{.bytes = bytes, .stream = stream});
    check(driver().memory_allocate(&block->start, bytes), "cuMemAlloc");
    auto* const start = reinterpret_cast<void*>(block->start);
    return {start, block.release(), &drop, stream.device()};
  }

  void copy_data(void* target, const void* source, std::size_t bytes) const override {
    synchronize_current_streams();
    default_copy_data(target, source, bytes);
  }
};

class PinnedAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    if (bytes == 0) return {nullptr, c10::kCPU};
    const c10::Stream stream = current_stream();
    const InContext context(stream.device_index());
    const OutOfCapture quiet;
    std::unique_ptr<Block> block(new Block{.bytes = bytes, .pinned = true, .stream = stream});
    void* start = nullptr;
    check(driver().host_allocate(&start, bytes, 0), "cuMemHostAlloc");
    block->start = reinterpret_cast<DevicePointer>(start);
    return {start, block.release(), &drop, c10::kCPU};
  }

  void copy_data(void* target, const void* source, std::size_t bytes) const override {
    default_copy_data(target, source, bytes);
  }
};

}  // namespace

void use_on(const c10::DataPtr& memory, const c10::Stream& stream) {
  if (memory.get_deleter() != &drop) return;
  auto& block = *static_cast<Block*>(memory.get_context());
  const std::scoped_lock lock(users_mutex());
  if (stream != block.stream) block.users.push_back(stream);
}

bool keep_until_done(const c10::DataPtr& memory, DriverStream stream) {
  if (memory.get_deleter() != &drop) return false;
  auto* const block = static_cast<Block*>(memory.get_context());
  ++block->holders;
  check(driver().after(stream, &drop, block), "fake_cuda_after");
  return true;
}

c10::Allocator* device_allocator() {
  static auto& allocator = *new DeviceAllocator;
  return &allocator;
}

c10::Allocator* pinned_allocator() {
  static auto& allocator = *new PinnedAllocator;
  return &allocator;
}

}  // namespace fake_gpu
