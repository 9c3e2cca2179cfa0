#include "provider/cuda/driver.h"

#include <dlfcn.h>

#include <array>

#include "base/find_symbol.h"

namespace smddp {
namespace cuda {
namespace {

std::string name_of(const DriverTable& driver, int ordinal) {
  int device = 0;
  std::array<char, 128> name{};
  if (driver.device_get(&device, ordinal) != 0 ||
      driver.device_get_name(name.data(), static_cast<int>(name.size()) - 1, device) != 0)
    return "unknown";
  return name.data();
}

// The names are those of the newest form of each function; a suffix is part of it.
bool bind(void* library, DriverTable& table) {
  return find_symbol(library, "cuInit", table.init) &&
         find_symbol(library, "cuDriverGetVersion", table.driver_get_version) &&
         find_symbol(library, "cuDeviceGetCount", table.device_get_count) &&
         find_symbol(library, "cuDeviceGet", table.device_get) &&
         find_symbol(library, "cuDeviceGetName", table.device_get_name) &&
         find_symbol(library, "cuGetErrorString", table.get_error_string) &&
         find_symbol(library, "cuDeviceGetUuid_v2", table.device_get_uuid) &&
         find_symbol(library, "cuDeviceGetPCIBusId", table.device_get_pci_bus_id) &&
         find_symbol(library, "cuDeviceGetAttribute", table.device_get_attribute) &&
         find_symbol(library, "cuDevicePrimaryCtxRetain", table.primary_context_retain) &&
         find_symbol(library, "cuDevicePrimaryCtxRelease_v2", table.primary_context_release) &&
         find_symbol(library, "cuCtxPushCurrent_v2", table.context_push) &&
         find_symbol(library, "cuCtxPopCurrent_v2", table.context_pop) &&
         find_symbol(library, "cuMemHostAlloc", table.mem_host_alloc) &&
         find_symbol(library, "cuMemFreeHost", table.mem_free_host) &&
         find_symbol(library, "cuMemcpyDtoHAsync_v2", table.copy_to_host) &&
         find_symbol(library, "cuMemcpyHtoDAsync_v2", table.copy_to_device) &&
         find_symbol(library, "cuMemcpyDtoDAsync_v2", table.copy_on_device) &&
         find_symbol(library, "cuMemAlloc_v2", table.mem_alloc) &&
         find_symbol(library, "cuMemFree_v2", table.mem_free) &&
         find_symbol(library, "cuMemHostRegister_v2", table.mem_host_register) &&
         find_symbol(library, "cuMemHostUnregister", table.mem_host_unregister) &&
         find_symbol(library, "cuMemHostGetDevicePointer_v2", table.mem_host_get_address) &&
         find_symbol(library, "cuIpcGetMemHandle", table.ipc_get_handle) &&
         find_symbol(library, "cuIpcOpenMemHandle_v2", table.ipc_open_handle) &&
         find_symbol(library, "cuIpcCloseMemHandle", table.ipc_close_handle) &&
         find_symbol(library, "cuPointerGetAttributes", table.pointer_get_attributes) &&
         find_symbol(library, "cuModuleLoadData", table.module_load) &&
         find_symbol(library, "cuModuleGetFunction", table.module_get_function) &&
         find_symbol(library, "cuLaunchKernel", table.launch_kernel) &&
         find_symbol(library, "cuEventCreate", table.event_create) &&
         find_symbol(library, "cuEventDestroy_v2", table.event_destroy) &&
         find_symbol(library, "cuEventRecord", table.event_record) &&
         find_symbol(library, "cuEventQuery", table.event_query) &&
         find_symbol(library, "cuStreamCreateWithPriority", table.stream_create) &&
         find_symbol(library, "cuStreamDestroy_v2", table.stream_destroy) &&
         find_symbol(library, "cuStreamWaitEvent", table.stream_wait_event) &&
         find_symbol(library, "cuStreamBatchMemOp_v2", table.stream_word_steps) &&
         find_symbol(library, "cuStreamWaitValue32_v2", table.stream_wait_value) &&
         find_symbol(library, "cuStreamIsCapturing", table.stream_is_capturing) &&
         find_symbol(library, "cuThreadExchangeStreamCaptureMode", table.exchange_capture_mode) &&
         find_symbol(library, "cuLaunchHostFunc", table.launch_host_function);
}

}  // namespace

std::string text_of(const DriverTable& driver, int error) {
  const char* text = nullptr;
  if (driver.get_error_string(error, &text) != 0 || text == nullptr)
    return "error " + std::to_string(error);
  return text;
}

Result<DriverTable> load_driver() {
  void* const library = ::dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return Status{
        StatusCode::kConfig,
        std::string{"no CUDA driver: "} + ::dlerror() +
            "; install NVIDIA's driver on this host until nvidia-smi shows the GPU (in a "
            "container, start it with the GPU: docker run --gpus all), or use CPU tensors"};
  }
  DriverTable table;
  if (!bind(library, table)) {
    return Status{StatusCode::kConfig,
                  std::string{"the CUDA driver is too old: "} + ::dlerror() + "; update it"};
  }
  static_cast<void>(find_symbol(library, "cuFuncLoad", table.function_load));
  return table;
}

CudaFacts facts_of(const DriverTable& driver) {
  CudaFacts facts;
  // The version is known before a device is: a driver that is too old for its device says so.
  if (const int error = driver.driver_get_version(&facts.driver); error != 0) {
    facts.problem = "cuDriverGetVersion: " + text_of(driver, error);
    return facts;
  }
  if (const int error = driver.init(0); error != 0) {
    facts.problem = "cuInit: " + text_of(driver, error);
    return facts;
  }
  int count = 0;
  if (const int error = driver.device_get_count(&count); error != 0)
    facts.problem = "cuDeviceGetCount: " + text_of(driver, error);
  for (int ordinal = 0; ordinal < count; ++ordinal)
    facts.devices.push_back(name_of(driver, ordinal));
  if (count == 0 && facts.problem.empty()) facts.problem = "the driver sees no device";
  return facts;
}

}  // namespace cuda

CudaFacts cuda_facts() {
  const Result<cuda::DriverTable> driver = cuda::load_driver();
  if (!driver.ok()) return {.problem = driver.status().message()};
  return cuda::facts_of(driver.value());
}

}  // namespace smddp
