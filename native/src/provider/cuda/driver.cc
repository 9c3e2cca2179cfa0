#include "provider/cuda/driver.h"

#include <dlfcn.h>

#include <array>

#include "base/find_symbol.h"

namespace smddp {
namespace cuda {
namespace {

std::string text_of(const DriverTable& driver, int error) {
  const char* text = nullptr;
  if (driver.get_error_string(error, &text) != 0 || text == nullptr)
    return "error " + std::to_string(error);
  return text;
}

std::string name_of(const DriverTable& driver, int ordinal) {
  int device = 0;
  std::array<char, 128> name{};
  if (driver.device_get(&device, ordinal) != 0 ||
      driver.device_get_name(name.data(), static_cast<int>(name.size()) - 1, device) != 0)
    return "unknown";
  return name.data();
}

}  // namespace

Result<DriverTable> load_driver() {
  void* const handle = ::dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  DriverTable table;
  if (handle != nullptr && find_symbol(handle, "cuInit", table.init) &&
      find_symbol(handle, "cuDriverGetVersion", table.driver_get_version) &&
      find_symbol(handle, "cuDeviceGetCount", table.device_get_count) &&
      find_symbol(handle, "cuDeviceGet", table.device_get) &&
      find_symbol(handle, "cuDeviceGetName", table.device_get_name) &&
      find_symbol(handle, "cuGetErrorString", table.get_error_string))
    return table;
  return Status{StatusCode::kConfig, std::string{"no CUDA driver: "} + ::dlerror()};
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
