// The Python face of the pretended torch device; its other parts register themselves when loaded.

#include <cstdint>

#include <pybind11/pybind11.h>

#include "torch_driver.h"

namespace fake_gpu {
namespace {

template <typename Function>
void call(const Function& function, const char* name, c10::DeviceIndex device,
          c10::StreamId number) {
  const InContext context(device);
  const c10::Stream stream(c10::Stream::UNSAFE, c10::Device(c10::kPrivateUse1, device), number);
  check(function(native(stream)), name);
}

void hold(c10::DeviceIndex device, c10::StreamId stream) {
  call(driver().hold, "fake_cuda_hold", device, stream);
}
void release(c10::DeviceIndex device, c10::StreamId stream) {
  call(driver().release, "fake_cuda_release", device, stream);
}
void replay(c10::DeviceIndex device, c10::StreamId stream) {
  call(driver().replay, "fake_cuda_replay", device, stream);
}
void begin_capture(c10::DeviceIndex device, c10::StreamId stream, int mode) {
  const auto begin = [mode](DriverStream handle) {
    return driver().stream_begin_capture(handle, mode);
  };
  call(begin, "cuStreamBeginCapture", device, stream);
}
void end_capture(c10::DeviceIndex device, c10::StreamId stream) {
  const auto end = [](DriverStream handle) {
    void* graph = nullptr;
    return driver().stream_end_capture(handle, &graph);
  };
  call(end, "cuStreamEndCapture", device, stream);
}
std::uintptr_t handle(c10::DeviceIndex device, c10::StreamId number) {
  const c10::Stream stream(c10::Stream::UNSAFE, c10::Device(c10::kPrivateUse1, device), number);
  return reinterpret_cast<std::uintptr_t>(native(stream));
}

}  // namespace
}  // namespace fake_gpu

PYBIND11_MODULE(TORCH_EXTENSION_NAME, module) {
  using namespace fake_gpu;
  module.def("device_count", &device_count);
  module.def("hold", &hold);
  module.def("release", &release);
  module.def("replay", &replay);
  module.def("begin_capture", &begin_capture);
  module.def("end_capture", &end_capture);
  module.def("handle", &handle);
  module.def("calls", [](const char* name) { return driver().calls(name); });
}
