#include "smddp/keyed_communicator.h"

#include <mutex>
#include <utility>

#include "engine/keyed_queue.h"

namespace smddp {
namespace {

struct OfProcess {
  std::mutex mutex;
  std::shared_ptr<KeyedCommunicator> group;
};

// Never destroyed: threads of a framework may outlive static objects.
OfProcess& of_this_process() {
  static auto& held = *new OfProcess;
  return held;
}

}  // namespace

std::shared_ptr<KeyedCommunicator> KeyedCommunicator::of_process() {
  const std::lock_guard lock{of_this_process().mutex};
  return of_this_process().group;
}

void KeyedCommunicator::set_of_process(std::shared_ptr<KeyedCommunicator> group) {
  // The old one leaves when its last user lets go of it, and not under the lock.
  const std::lock_guard lock{of_this_process().mutex};
  of_this_process().group.swap(group);
}

Result<std::unique_ptr<KeyedCommunicator>> KeyedCommunicator::create(Runtime& runtime,
                                                                     CommunicatorOptions options,
                                                                     const Config& config) {
  auto queue = std::make_shared<KeyedQueue>(config.timeout);
  options.dependent = queue;
  Result<std::unique_ptr<Communicator>> group =
      runtime.create_communicator(std::move(options), config);
  if (!group.ok()) return group.status();
  queue->adopt(std::move(group).value());
  return std::make_unique<KeyedCommunicator>(std::move(queue), config.leave_grace);
}

KeyedCommunicator::KeyedCommunicator(std::shared_ptr<KeyedQueue> queue,
                                     std::chrono::milliseconds leave_grace)
    : queue_(std::move(queue)), leave_grace_(leave_grace) {}

KeyedCommunicator::~KeyedCommunicator() { leave(leave_grace_); }

Rank KeyedCommunicator::rank() const { return queue_->group().rank(); }
int KeyedCommunicator::world() const { return queue_->group().world(); }
void KeyedCommunicator::submit(const std::string& key, Request request) {
  queue_->submit(key, std::move(request));
}
std::future<Result<Rank>> KeyedCommunicator::join() {
  auto joined = std::make_shared<std::promise<Result<Rank>>>();
  queue_->join([joined](Result<Rank> last) { joined->set_value(std::move(last)); });
  return joined->get_future();
}
void KeyedCommunicator::leave(std::chrono::milliseconds grace, const std::string& why) {
  queue_->group().leave(grace, why);
}

}  // namespace smddp
