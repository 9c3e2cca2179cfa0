// Modules and kernels of the pretended driver.

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string_view>
#include <vector>

#include "driver_state.h"
#include "fake_kernel.h"

using namespace fake_gpu;

FAKE_EXPORT int cuModuleLoadData(void** module, const void* image) {
  note(__func__);
  if (const int error = refused_in_capture(); error != kSuccess) return error;
  if (current_device() < 0) return kInvalidContext;
  if (static_cast<const Image*>(image)->magic != Image::kMagic) return kInvalidImage;
  *module = const_cast<void*>(image);
  return kSuccess;
}

FAKE_EXPORT int cuModuleGetFunction(void** function, void* module, const char* name) {
  note(__func__);
  const auto* const image = static_cast<const Image*>(module);
  const auto* const end = image->kernels + image->count;
  const auto* const kernel = std::find_if(
      image->kernels, end, [&](const Kernel& one) { return std::string_view{one.name} == name; });
  if (kernel == end) return kNotFound;
  *function = const_cast<Kernel*>(kernel);
  return kSuccess;
}

FAKE_EXPORT int cuLaunchKernel(void* function, unsigned blocks, unsigned y, unsigned z,
                               unsigned threads, unsigned thread_y, unsigned thread_z,
                               unsigned /*shared_bytes*/, void* stream, void** parameters,
                               void** /*extra*/) {
  note(__func__);
  if (blocks == 0 || y * z * thread_y * thread_z != 1 || threads > 1024) return kInvalidValue;
  const auto* const kernel = static_cast<const Kernel*>(function);
  const auto* const bytes = static_cast<const std::byte*>(parameters[0]);
  const std::vector<std::byte> parameter(bytes, bytes + kernel->parameter_bytes);
  const int error = submit(stream, [=] { kernel->run(parameter.data(), {blocks, threads}); });
  std::shared_ptr<Stream> held;
  if (error == kSuccess && find(stream, held) == kSuccess && held->holds_kernel.exchange(false))
    held->shut_gate();
  return error;
}
