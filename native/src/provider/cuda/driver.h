#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "smddp/cuda.h"
#include "smddp/status.h"

namespace smddp::cuda {

// The driver's handles; the runtime's are the same.
using Context = void*;
using Stream = void*;  ///< null: the legacy default stream
using Event = void*;
using Module = void*;
using Function = void*;
using Address = unsigned long long;  ///< of device memory, or of pinned memory as the GPU sees it
using HostFunction = void (*)(void* data);

inline constexpr int kNotReady = 600;  ///< CUDA_ERROR_NOT_READY

/// By which another process reaches memory of this one's GPU.
struct IpcHandle {
  char bytes[64];
};

/// A step of cuStreamBatchMemOp on a word of memory.
struct WordStep {
  static constexpr unsigned kWait = 1;  ///< until the word has come to `value`, counting cyclically
  static constexpr unsigned kWrite = 2;      ///< after what the stream was given before
  static constexpr unsigned kWriteLong = 5;  ///< the same with 64 bits

  unsigned kind = kWait;
  Address word = 0;
  std::uint64_t value = 0;  ///< of 32 bits, but for kWriteLong
  unsigned flags = 0;
  std::uint64_t reserved[2] = {};
};
static_assert(sizeof(WordStep) == 48, "as the driver has it");

// What cuPointerGetAttributes tells of memory.
inline constexpr int kBufferId = 7;     ///< 64 bits; never given to other memory of the process
inline constexpr int kRangeStart = 11;  ///< where the allocation begins
inline constexpr int kRangeBytes = 12;

/// Functions of the CUDA driver, as libcuda.so.1 has them (docs.nvidia.com/cuda: driver API), or as
/// a test makes them. They return 0 when all went well.
struct DriverTable {
  int (*init)(unsigned flags) = nullptr;
  int (*driver_get_version)(int* version) = nullptr;
  int (*device_get_count)(int* count) = nullptr;
  int (*device_get)(int* device, int ordinal) = nullptr;
  int (*device_get_name)(char* name, int size, int device) = nullptr;
  int (*get_error_string)(int error, const char** text) = nullptr;

  int (*device_get_uuid)(char* uuid, int device) = nullptr;
  int (*device_get_pci_bus_id)(char* id, int size, int device) = nullptr;
  int (*device_get_attribute)(int* value, int attribute, int device) = nullptr;
  int (*primary_context_retain)(Context* context, int device) = nullptr;
  int (*primary_context_release)(int device) = nullptr;
  int (*context_push)(Context context) = nullptr;
  int (*context_pop)(Context* context) = nullptr;

  int (*mem_host_alloc)(void** memory, std::size_t bytes, unsigned flags) = nullptr;
  int (*mem_free_host)(void* memory) = nullptr;
  int (*copy_to_host)(void* to, Address from, std::size_t bytes, Stream stream) = nullptr;
  int (*copy_to_device)(Address to, const void* from, std::size_t bytes, Stream stream) = nullptr;
  int (*copy_on_device)(Address to, Address from, std::size_t bytes, Stream stream) = nullptr;

  int (*mem_alloc)(void** memory, std::size_t bytes) = nullptr;  ///< an address, as below
  int (*mem_free)(Address memory) = nullptr;
  int (*mem_host_register)(void* memory, std::size_t bytes, unsigned flags) = nullptr;
  int (*mem_host_unregister)(void* memory) = nullptr;
  int (*mem_host_get_address)(Address* address, void* memory, unsigned flags) = nullptr;
  int (*ipc_get_handle)(IpcHandle* handle, Address memory) = nullptr;
  int (*ipc_open_handle)(void** memory, IpcHandle handle, unsigned flags) = nullptr;  ///< as above
  int (*ipc_close_handle)(Address memory) = nullptr;
  int (*pointer_get_attributes)(unsigned count, const int* attributes, void** values,
                                Address memory) = nullptr;

  int (*module_load)(Module* module, const void* image) = nullptr;
  int (*module_get_function)(Function* function, Module module, const char* name) = nullptr;
  int (*function_load)(Function function) = nullptr;  ///< null before CUDA 12.4
  int (*launch_kernel)(Function function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                       unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
                       Stream stream, void** parameters, void** extra) = nullptr;

  int (*event_create)(Event* event, unsigned flags) = nullptr;
  int (*event_destroy)(Event event) = nullptr;
  int (*event_record)(Event event, Stream stream) = nullptr;
  int (*event_query)(Event event) = nullptr;

  int (*stream_create)(Stream* stream, unsigned flags, int priority) = nullptr;
  int (*stream_destroy)(Stream stream) = nullptr;
  int (*stream_wait_event)(Stream stream, Event event, unsigned flags) = nullptr;
  int (*stream_word_steps)(Stream stream, unsigned count, WordStep* steps,
                           unsigned flags) = nullptr;
  int (*stream_wait_value)(Stream stream, Address word, unsigned value, unsigned flags) = nullptr;
  int (*stream_is_capturing)(Stream stream, int* status) = nullptr;
  int (*exchange_capture_mode)(int* mode) = nullptr;
  int (*launch_host_function)(Stream stream, HostFunction function, void* data) = nullptr;
};

/// kConfig: this machine has none, or one that lacks a function.
Result<DriverTable> load_driver();

/// What the driver calls an error.
std::string text_of(const DriverTable& driver, int error);

CudaFacts facts_of(const DriverTable& driver);

}  // namespace smddp::cuda
