// The pretended driver, as the pretended torch device uses it.
#pragma once

#include <cstddef>

#include <c10/core/Allocator.h>
#include <c10/core/Stream.h>

namespace fake_gpu {

using DevicePointer = unsigned long long;
using DriverStream = void*;
using DriverEvent = void*;

constexpr int kMostDevices = 16;

/// The functions in use, found in the library.
struct Driver {
  int (*init)(unsigned);
  int (*device_count)(int*);
  int (*error_string)(int, const char**);
  int (*context_retain)(void**, int);
  int (*context_push)(void*);
  int (*context_pop)(void**);
  int (*context_synchronize)();
  int (*exchange_capture_mode)(int*);
  int (*memory_allocate)(DevicePointer*, std::size_t);
  int (*memory_free)(DevicePointer);
  int (*host_allocate)(void**, std::size_t, unsigned);
  int (*host_free)(void*);
  int (*copy_to_host)(void*, DevicePointer, std::size_t, DriverStream);
  int (*copy_to_device)(DevicePointer, const void*, std::size_t, DriverStream);
  int (*copy_on_device)(DevicePointer, DevicePointer, std::size_t, DriverStream);
  int (*fill_bytes)(DevicePointer, unsigned char, std::size_t, DriverStream);
  int (*stream_create)(DriverStream*, unsigned, int);
  int (*stream_query)(DriverStream);
  int (*stream_synchronize)(DriverStream);
  int (*stream_wait)(DriverStream, DriverEvent, unsigned);
  int (*stream_is_capturing)(DriverStream, int*);
  int (*stream_begin_capture)(DriverStream, int);
  int (*stream_end_capture)(DriverStream, void**);
  int (*event_create)(DriverEvent*, unsigned);
  int (*event_destroy)(DriverEvent);
  int (*event_record)(DriverEvent, DriverStream);
  int (*event_query)(DriverEvent);
  int (*event_synchronize)(DriverEvent);
  int (*event_elapsed)(float*, DriverEvent, DriverEvent);
  int (*hold)(DriverStream);
  int (*release)(DriverStream);
  int (*replay)(DriverStream);
  int (*after)(DriverStream, void (*)(void*), void*);
  int (*memory_kind)(const void*);
  long (*calls)(const char*);
};

/// Loads the library when first asked; c10::Error when that fails.
[[nodiscard]] const Driver& driver();
/// c10::Error with the driver's text, unless 0.
void check(int error, const char* call);

/// The device's context is current meanwhile.
class InContext {
 public:
  explicit InContext(c10::DeviceIndex device);
  ~InContext();
  InContext(const InContext&) = delete;
  InContext& operator=(const InContext&) = delete;
};

/// Captures mind no call of this thread meanwhile.
class OutOfCapture {
 public:
  OutOfCapture();
  ~OutOfCapture();
  OutOfCapture(const OutOfCapture&) = delete;
  OutOfCapture& operator=(const OutOfCapture&) = delete;

 private:
  int mode_ = 2;
};

[[nodiscard]] c10::DeviceIndex device_count() noexcept;
[[nodiscard]] c10::Stream current_stream(c10::DeviceIndex device);
[[nodiscard]] DriverStream native(const c10::Stream& stream);
void synchronize(const c10::Stream& stream);
/// Waits for the current streams of all devices.
void synchronize_current_streams();
[[nodiscard]] bool is_capturing(const c10::Stream& stream);

/// Keeps the memory until the stream has done what is queued now; false when it is not this
/// device's, so that nobody can.
[[nodiscard]] bool keep_until_done(const c10::DataPtr& memory, DriverStream stream);
/// Notes that the stream uses the memory, as record_stream says.
void use_on(const c10::DataPtr& memory, const c10::Stream& stream);
[[nodiscard]] c10::Allocator* device_allocator();
[[nodiscard]] c10::Allocator* pinned_allocator();

}  // namespace fake_gpu
