#include "smddp/device_group.h"

#include <utility>

#include "device/device_group_impl.h"
#include "provider/cuda/driver.h"

namespace smddp {

Result<std::unique_ptr<DeviceGroup>> DeviceGroup::create(Runtime& runtime,
                                                         CommunicatorOptions options,
                                                         const Config& config, int ordinal,
                                                         std::shared_ptr<Communicator> messages) {
  const Result<cuda::DriverTable> driver = cuda::load_driver();
  if (!driver.ok()) return driver.status();
  Result<std::shared_ptr<cuda::Gpu>> gpu = cuda::Gpu::open(driver.value(), ordinal);
  if (!gpu.ok()) return gpu.status();
  const DeviceGroupImpl::Maker make = [runtime, config](CommunicatorOptions some) mutable {
    return runtime.create_communicator(std::move(some), config);
  };
  auto impl = std::make_shared<DeviceGroupImpl>(std::move(gpu).value(), options, config,
                                                std::move(messages), make);
  options.dependent = impl;
  auto members = runtime.create_communicator(std::move(options), config);
  if (!members.ok()) return members.status();
  impl->adopt(std::move(members).value());
  return std::make_unique<DeviceGroup>(std::move(impl));
}

DeviceGroup::DeviceGroup(std::shared_ptr<DeviceGroupImpl> impl) : impl_(std::move(impl)) {}
DeviceGroup::~DeviceGroup() { leave(impl_->leave_grace()); }

Status DeviceGroup::meet() { return impl_->meet(); }
Work DeviceGroup::submit(Request request, DeviceStream stream) {
  return impl_->submit(std::move(request), stream);
}
Status DeviceGroup::finish() { return impl_->finish(); }
void DeviceGroup::leave(std::chrono::milliseconds grace, const std::string& why) {
  impl_->leave(grace, why);
}
std::string DeviceGroup::transport() const { return impl_->transport(); }

}  // namespace smddp
