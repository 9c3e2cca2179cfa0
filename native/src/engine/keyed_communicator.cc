#include "smddp/keyed_communicator.h"

#include <utility>

#include "base/of_process.h"
#include "engine/keyed_queue.h"

namespace smddp {

std::shared_ptr<KeyedCommunicator> KeyedCommunicator::of_process() {
  return OfProcess<KeyedCommunicator>::get();
}
void KeyedCommunicator::set_of_process(std::shared_ptr<KeyedCommunicator> group) {
  OfProcess<KeyedCommunicator>::set(std::move(group));
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
void KeyedCommunicator::submit(const std::string& key, Request request,
                               std::function<void()> on_turn) {
  queue_->submit(key, std::move(request), std::move(on_turn));
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
