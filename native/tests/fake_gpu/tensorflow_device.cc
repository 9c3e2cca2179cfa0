// The pretended GPU as TensorFlow's device "GPU", by its plug-in interface
// (tensorflow/c/experimental/stream_executor/stream_executor.h). It has no kernels of its own: what
// TensorFlow itself does on every device (copies, variables, control flow) and what a library
// brings for GPUs runs on it.
//
// TensorFlow tells kernels no stream of a plug-in's device, that is to say the null stream. So all
// its streams are that.

#include <tensorflow/c/experimental/stream_executor/stream_executor.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

extern "C" {
int cuInit(unsigned);
int cuDeviceGetCount(int*);
int cuDevicePrimaryCtxRetain(void**, int);
int cuCtxPushCurrent_v2(void*);
int cuCtxPopCurrent_v2(void**);
int cuCtxSynchronize();
int cuMemAlloc_v2(unsigned long long*, std::size_t);
int cuMemFree_v2(unsigned long long);
int cuMemHostAlloc(void**, std::size_t, unsigned);
int cuMemFreeHost(void*);
int cuMemcpyDtoHAsync_v2(void*, unsigned long long, std::size_t, void*);
int cuMemcpyHtoDAsync_v2(unsigned long long, const void*, std::size_t, void*);
int cuMemcpyDtoDAsync_v2(unsigned long long, unsigned long long, std::size_t, void*);
int cuMemsetD8Async(unsigned long long, unsigned char, std::size_t, void*);
int cuStreamSynchronize(void*);
int cuEventCreate(void**, unsigned);
int cuEventDestroy_v2(void*);
int cuEventRecord(void*, void*);
int cuEventQuery(void*);
int cuEventSynchronize(void*);
int cuLaunchHostFunc(void*, void (*)(void*), void*);
}

namespace {

using Address = unsigned long long;

constexpr int kNotReady = 600;
constexpr int kMostDevices = 16;
constexpr std::int64_t kMemoryBytes = std::int64_t{1} << 30;
void* const kStream = nullptr;

/// The device's context is current meanwhile.
class InContext {
 public:
  explicit InContext(const SP_Device* device) {
    static std::array<void*, kMostDevices> contexts{};
    void*& context = contexts.at(static_cast<std::size_t>(device->ordinal));
    if (context == nullptr) cuDevicePrimaryCtxRetain(&context, device->ordinal);
    cuCtxPushCurrent_v2(context);
  }
  ~InContext() { cuCtxPopCurrent_v2(nullptr); }
  InContext(const InContext&) = delete;
  InContext& operator=(const InContext&) = delete;
};

Address address(const void* memory) { return reinterpret_cast<Address>(memory); }

void tell(int error, TF_Status* status) {
  TF_SetStatus(status, error == 0 ? TF_OK : TF_INTERNAL,
               error == 0 ? "" : "the pretended driver failed");
}

void all_is_well(TF_Status* status) { tell(0, status); }

// ---- memory ----

void allocate(const SP_Device* device, std::uint64_t bytes, std::int64_t,
              SP_DeviceMemoryBase* memory) {
  const InContext context(device);
  Address start = 0;
  memory->struct_size = SP_DEVICE_MEMORY_BASE_STRUCT_SIZE;
  memory->opaque = cuMemAlloc_v2(&start, bytes) == 0 ? reinterpret_cast<void*>(start) : nullptr;
  memory->size = bytes;
}

void deallocate(const SP_Device* device, SP_DeviceMemoryBase* memory) {
  const InContext context(device);
  if (memory->opaque != nullptr) cuMemFree_v2(address(memory->opaque));
}

void* allocate_on_host(const SP_Device* device, std::uint64_t bytes) {
  const InContext context(device);
  void* memory = nullptr;
  return cuMemHostAlloc(&memory, bytes, 0) == 0 ? memory : nullptr;
}

void free_on_host(const SP_Device* device, void* memory) {
  const InContext context(device);
  cuMemFreeHost(memory);
}

TF_Bool no_statistics(const SP_Device*, SP_AllocatorStats*) { return 0; }

TF_Bool memory_usage(const SP_Device*, std::int64_t* free, std::int64_t* total) {
  *free = *total = kMemoryBytes;
  return 1;
}

// ---- streams and events ----

void create_stream(const SP_Device*, SP_Stream* stream, TF_Status* status) {
  *stream = static_cast<SP_Stream>(kStream);
  all_is_well(status);
}

void destroy_stream(const SP_Device*, SP_Stream) {}

void let_wait(const SP_Device*, SP_Stream, SP_Stream, TF_Status* status) { all_is_well(status); }

void stream_status(const SP_Device*, SP_Stream, TF_Status* status) { all_is_well(status); }

void create_event(const SP_Device* device, SP_Event* event, TF_Status* status) {
  const InContext context(device);
  tell(cuEventCreate(reinterpret_cast<void**>(event), 2), status);
}

void destroy_event(const SP_Device* device, SP_Event event) {
  const InContext context(device);
  cuEventDestroy_v2(event);
}

SE_EventStatus event_status(const SP_Device* device, SP_Event event) {
  const InContext context(device);
  const int error = cuEventQuery(event);
  if (error == kNotReady) return SE_EVENT_PENDING;
  return error == 0 ? SE_EVENT_COMPLETE : SE_EVENT_ERROR;
}

void record_event(const SP_Device* device, SP_Stream, SP_Event event, TF_Status* status) {
  const InContext context(device);
  tell(cuEventRecord(event, kStream), status);
}

void wait_for_event(const SP_Device*, SP_Stream, SP_Event, TF_Status* status) {
  all_is_well(status);
}

void block_for_event(const SP_Device* device, SP_Event event, TF_Status* status) {
  const InContext context(device);
  tell(cuEventSynchronize(event), status);
}

void block_for_stream(const SP_Device* device, SP_Stream, TF_Status* status) {
  const InContext context(device);
  tell(cuStreamSynchronize(kStream), status);
}

void synchronize(const SP_Device* device, TF_Status* status) {
  const InContext context(device);
  tell(cuCtxSynchronize(), status);
}

TF_Bool call_on_host(const SP_Device* device, SP_Stream, SE_StatusCallbackFn function,
                     void* argument) {
  const InContext context(device);
  using Call = std::pair<SE_StatusCallbackFn, void*>;
  const auto run = [](void* raw) {
    auto* const call = static_cast<Call*>(raw);
    TF_Status* const status = TF_NewStatus();
    call->first(call->second, status);
    TF_DeleteStatus(status);
    delete call;
  };
  return cuLaunchHostFunc(kStream, run, new Call(function, argument)) == 0 ? 1 : 0;
}

// ---- copies ----

void copy_to_host(const SP_Device* device, SP_Stream, void* to, const SP_DeviceMemoryBase* from,
                  std::uint64_t bytes, TF_Status* status) {
  const InContext context(device);
  tell(cuMemcpyDtoHAsync_v2(to, address(from->opaque), bytes, kStream), status);
}

void copy_to_device(const SP_Device* device, SP_Stream, SP_DeviceMemoryBase* to, const void* from,
                    std::uint64_t bytes, TF_Status* status) {
  const InContext context(device);
  tell(cuMemcpyHtoDAsync_v2(address(to->opaque), from, bytes, kStream), status);
}

void copy_on_device(const SP_Device* device, SP_Stream, SP_DeviceMemoryBase* to,
                    const SP_DeviceMemoryBase* from, std::uint64_t bytes, TF_Status* status) {
  const InContext context(device);
  tell(cuMemcpyDtoDAsync_v2(address(to->opaque), address(from->opaque), bytes, kStream), status);
}

void copy_to_host_now(const SP_Device* device, void* to, const SP_DeviceMemoryBase* from,
                      std::uint64_t bytes, TF_Status* status) {
  copy_to_host(device, nullptr, to, from, bytes, status);
  block_for_stream(device, nullptr, status);
}

void copy_to_device_now(const SP_Device* device, SP_DeviceMemoryBase* to, const void* from,
                        std::uint64_t bytes, TF_Status* status) {
  copy_to_device(device, nullptr, to, from, bytes, status);
  block_for_stream(device, nullptr, status);
}

void copy_on_device_now(const SP_Device* device, SP_DeviceMemoryBase* to,
                        const SP_DeviceMemoryBase* from, std::uint64_t bytes, TF_Status* status) {
  copy_on_device(device, nullptr, to, from, bytes, status);
  block_for_stream(device, nullptr, status);
}

void fill(const SP_Device* device, SP_Stream, SP_DeviceMemoryBase* memory, std::uint8_t value,
          std::uint64_t bytes, TF_Status* status) {
  const InContext context(device);
  tell(cuMemsetD8Async(address(memory->opaque), value, bytes, kStream), status);
}

void fill_with_zeros(const SP_Device* device, SP_Stream stream, SP_DeviceMemoryBase* memory,
                     std::uint64_t bytes, TF_Status* status) {
  fill(device, stream, memory, 0, bytes, status);
}

/// TensorFlow wants there to be one, and has no use for it here.
void fill_with_words(const SP_Device*, SP_Stream, SP_DeviceMemoryBase*, std::uint32_t,
                     std::uint64_t, TF_Status* status) {
  TF_SetStatus(status, TF_UNIMPLEMENTED, "the pretended GPU fills no memory with words");
}

// ---- timers, which measure nothing ----

void create_timer(const SP_Device*, SP_Timer* timer, TF_Status* status) {
  *timer = nullptr;
  all_is_well(status);
}
void destroy_timer(const SP_Device*, SP_Timer) {}
void turn_timer(const SP_Device*, SP_Stream, SP_Timer, TF_Status* status) { all_is_well(status); }
std::uint64_t no_time(SP_Timer) { return 0; }

// ---- the platform ----

void create_executor(const SP_Platform*, SE_CreateStreamExecutorParams* parameters,
                     TF_Status* status) {
  SP_StreamExecutor& executor = *parameters->stream_executor;
  executor.struct_size = SP_STREAMEXECUTOR_STRUCT_SIZE;
  executor.allocate = allocate;
  executor.deallocate = deallocate;
  executor.host_memory_allocate = allocate_on_host;
  executor.host_memory_deallocate = free_on_host;
  executor.get_allocator_stats = no_statistics;
  executor.device_memory_usage = memory_usage;
  executor.create_stream = create_stream;
  executor.destroy_stream = destroy_stream;
  executor.create_stream_dependency = let_wait;
  executor.get_stream_status = stream_status;
  executor.create_event = create_event;
  executor.destroy_event = destroy_event;
  executor.get_event_status = event_status;
  executor.record_event = record_event;
  executor.wait_for_event = wait_for_event;
  executor.create_timer = create_timer;
  executor.destroy_timer = destroy_timer;
  executor.start_timer = executor.stop_timer = turn_timer;
  executor.memcpy_dtoh = copy_to_host;
  executor.memcpy_htod = copy_to_device;
  executor.memcpy_dtod = copy_on_device;
  executor.sync_memcpy_dtoh = copy_to_host_now;
  executor.sync_memcpy_htod = copy_to_device_now;
  executor.sync_memcpy_dtod = copy_on_device_now;
  executor.block_host_for_event = block_for_event;
  executor.block_host_until_done = block_for_stream;
  executor.synchronize_all_activity = synchronize;
  executor.mem_zero = fill_with_zeros;
  executor.memset = fill;
  executor.memset32 = fill_with_words;
  executor.host_callback = call_on_host;
  all_is_well(status);
}

void device_count(const SP_Platform*, int* count, TF_Status* status) {
  tell(cuDeviceGetCount(count), status);
}

void create_device(const SP_Platform*, SE_CreateDeviceParams* parameters, TF_Status* status) {
  parameters->device->struct_size = SP_DEVICE_STRUCT_SIZE;
  parameters->device->ordinal = parameters->ordinal;
  parameters->device->hardware_name = "pretended GPU";
  parameters->device->device_vendor = "nobody";
  parameters->device->pci_bus_id = "0000:00:00.0";
  all_is_well(status);
}
void destroy_device(const SP_Platform*, SP_Device*) {}

std::int32_t no_node(const SP_Device*) { return -1; }
std::int64_t no_bandwidth(const SP_Device*) { return -1; }
double no_rate(const SP_Device*) { return -1; }

void create_device_functions(const SP_Platform*, SE_CreateDeviceFnsParams* parameters,
                             TF_Status* status) {
  *parameters->device_fns = {SP_DEVICE_FNS_STRUCT_SIZE, nullptr, no_node, no_bandwidth, no_rate};
  all_is_well(status);
}
void destroy_device_functions(const SP_Platform*, SP_DeviceFns*) {}
void destroy_executor(const SP_Platform*, SP_StreamExecutor*) {}

void create_timer_functions(const SP_Platform*, SP_TimerFns* timer, TF_Status* status) {
  timer->struct_size = SP_TIMER_FNS_STRUCT_SIZE;
  timer->nanoseconds = no_time;
  all_is_well(status);
}
void destroy_timer_functions(const SP_Platform*, SP_TimerFns*) {}
void destroy_platform(SP_Platform*) {}
void destroy_platform_functions(SP_PlatformFns*) {}

}  // namespace

extern "C" __attribute__((visibility("default"))) void SE_InitPlugin(
    SE_PlatformRegistrationParams* parameters, TF_Status* status) {
  parameters->platform->struct_size = SP_PLATFORM_STRUCT_SIZE;
  parameters->platform->name = "PRETENDED";
  parameters->platform->type = "GPU";
  parameters->platform->supports_unified_memory = 0;
  parameters->platform->use_bfc_allocator = 1;
  parameters->platform->force_memory_growth = 1;
  SP_PlatformFns& functions = *parameters->platform_fns;
  functions.get_device_count = device_count;
  functions.create_device = create_device;
  functions.destroy_device = destroy_device;
  functions.create_device_fns = create_device_functions;
  functions.destroy_device_fns = destroy_device_functions;
  functions.create_stream_executor = create_executor;
  functions.destroy_stream_executor = destroy_executor;
  functions.create_timer_fns = create_timer_functions;
  functions.destroy_timer_fns = destroy_timer_functions;
  parameters->destroy_platform = destroy_platform;
  parameters->destroy_platform_fns = destroy_platform_functions;
  tell(cuInit(0), status);
}
