#include <string>

#include "base/fork_guard.h"
#include "provider/cuda/gpu.h"

namespace smddp::cuda {
namespace {

constexpr int kRelaxed = 2;                     // CU_STREAM_CAPTURE_MODE_RELAXED
constexpr unsigned kPortableAndMapped = 1 | 2;  // CU_MEMHOSTALLOC_PORTABLE, _DEVICEMAP
constexpr unsigned kEnablePeerAccess = 1;       // CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS

Address address_of(const std::byte* memory) { return reinterpret_cast<Address>(memory); }

}  // namespace

Gpu::BesideCapture::BesideCapture(const Gpu& gpu) : driver_(gpu.driver_), mode_(kRelaxed) {
  driver_.exchange_capture_mode(&mode_);
}

Gpu::BesideCapture::~BesideCapture() { driver_.exchange_capture_mode(&mode_); }

Result<std::byte*> Gpu::allocate_pinned(std::size_t bytes) const {
  const Current current{*this};
  const BesideCapture beside{*this};
  void* memory = nullptr;
  SMDDP_RETURN_IF_ERROR(
      check(driver_.mem_host_alloc(&memory, bytes, kPortableAndMapped), "cuMemHostAlloc"));
  return static_cast<std::byte*>(memory);
}

void Gpu::free_pinned(std::byte* memory) const noexcept {
  const Current current{*this};
  const BesideCapture beside{*this};
  driver_.mem_free_host(memory);
}

Result<Address> Gpu::pin(std::byte* memory, std::size_t bytes) const {
  const Current current{*this};
  const BesideCapture beside{*this};
  SMDDP_RETURN_IF_ERROR(
      check(driver_.mem_host_register(memory, bytes, kPortableAndMapped), "cuMemHostRegister"));
  Address address = 0;
  const Status found =
      check(driver_.mem_host_get_address(&address, memory, 0), "cuMemHostGetDevicePointer");
  if (found.ok()) return address;
  driver_.mem_host_unregister(memory);
  return found;
}

void Gpu::unpin(std::byte* memory) const noexcept {
  if (in_forked_child()) return;
  const Current current{*this};
  const BesideCapture beside{*this};
  driver_.mem_host_unregister(memory);
}

Result<std::byte*> Gpu::allocate(std::size_t bytes) const {
  const Current current{*this};
  const BesideCapture beside{*this};
  void* memory = nullptr;
  SMDDP_RETURN_IF_ERROR(check(driver_.mem_alloc(&memory, bytes), "cuMemAlloc"));
  return static_cast<std::byte*>(memory);
}

void Gpu::free(std::byte* memory) const noexcept {
  if (in_forked_child()) return;
  const Current current{*this};
  const BesideCapture beside{*this};
  driver_.mem_free(address_of(memory));
}

Result<IpcHandle> Gpu::share(const std::byte* memory) const {
  const Current current{*this};
  const BesideCapture beside{*this};
  IpcHandle handle{};
  SMDDP_RETURN_IF_ERROR(
      check(driver_.ipc_get_handle(&handle, address_of(memory)), "cuIpcGetMemHandle"));
  return handle;
}

Result<std::byte*> Gpu::open_shared(const IpcHandle& handle) const {
  const Current current{*this};
  const BesideCapture beside{*this};
  void* memory = nullptr;
  SMDDP_RETURN_IF_ERROR(
      check(driver_.ipc_open_handle(&memory, handle, kEnablePeerAccess), "cuIpcOpenMemHandle"));
  return static_cast<std::byte*>(memory);
}

void Gpu::close_shared(std::byte* memory) const noexcept {
  const Current current{*this};
  const BesideCapture beside{*this};
  driver_.ipc_close_handle(address_of(memory));
}

Result<Allocation> Gpu::allocation_of(const void* memory) const {
  const Current current{*this};
  Allocation found;
  const int attributes[] = {kBufferId, kRangeStart, kRangeBytes};
  void* values[] = {&found.id, static_cast<void*>(&found.start), &found.bytes};
  SMDDP_RETURN_IF_ERROR(check(
      driver_.pointer_get_attributes(3, attributes, values, reinterpret_cast<Address>(memory)),
      "cuPointerGetAttributes"));
  return found;
}

Result<Module> Gpu::load_module(const void* image) const {
  const Current current{*this};
  const BesideCapture beside{*this};
  Module module = nullptr;
  SMDDP_RETURN_IF_ERROR(check(driver_.module_load(&module, image), "cuModuleLoadData"));
  return module;
}

Result<Function> Gpu::load_function(Module module, const std::string& name) const {
  const Current current{*this};
  const BesideCapture beside{*this};
  Function function = nullptr;
  SMDDP_RETURN_IF_ERROR(
      check(driver_.module_get_function(&function, module, name.c_str()), "cuModuleGetFunction"));
  if (driver_.function_load != nullptr)
    SMDDP_RETURN_IF_ERROR(check(driver_.function_load(function), "cuFuncLoad"));
  return function;
}

}  // namespace smddp::cuda
