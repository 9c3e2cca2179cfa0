#include "smddp/keyed_device_group.h"

#include <utility>

#include "base/fork_guard.h"
#include "base/of_process.h"
#include "device/device_turns.h"

namespace smddp {

std::shared_ptr<KeyedDeviceGroup> KeyedDeviceGroup::of_process() {
  return OfProcess<KeyedDeviceGroup>::get();
}
void KeyedDeviceGroup::set_of_process(std::shared_ptr<KeyedDeviceGroup> group) {
  OfProcess<KeyedDeviceGroup>::set(std::move(group));
}

KeyedDeviceGroup::KeyedDeviceGroup(const Runtime& runtime, CommunicatorOptions options,
                                   const Config& config, std::shared_ptr<KeyedCommunicator> order)
    : leave_grace_(config.leave_grace) {
  auto make = [runtime = runtime, options = std::move(options), config](int ordinal) mutable {
    return DeviceGroup::create(runtime, options, config, ordinal, nullptr);
  };
  turns_ = leak_in_child(new DeviceTurns(std::move(order), config.timeout, std::move(make)));
}

KeyedDeviceGroup::~KeyedDeviceGroup() { leave(leave_grace_); }

void KeyedDeviceGroup::submit(const std::string& key, DeviceRequest request) {
  turns_->submit(key, std::move(request));
}

void KeyedDeviceGroup::leave(std::chrono::milliseconds grace, const std::string& why) {
  turns_->leave(grace, why);
}

std::string KeyedDeviceGroup::transport() const { return turns_->transport(); }

}  // namespace smddp
