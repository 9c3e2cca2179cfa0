#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "smddp/deadline.h"
#include "smddp/keyed_device_group.h"

#include "device/host_detour.h"
#include "provider/cuda/gpu.h"

namespace smddp {

/// A KeyedDeviceGroup's collectives, from their submission until they are on the GPU: the order's
/// group sums how many ranks have come to one, and a thread carries it out when its turn comes.
class DeviceTurns : public std::enable_shared_from_this<DeviceTurns> {
 public:
  using Maker = std::function<Result<std::unique_ptr<DeviceGroup>>(int ordinal)>;

  DeviceTurns(std::shared_ptr<KeyedCommunicator> order, std::chrono::milliseconds timeout,
              Maker make);
  ~DeviceTurns();
  DeviceTurns(const DeviceTurns&) = delete;
  DeviceTurns& operator=(const DeviceTurns&) = delete;

  void submit(const std::string& key, DeviceRequest request);
  void leave(std::chrono::milliseconds grace, const std::string& why);
  std::string transport() const;

 private:
  struct Turn;
  /// One whose memory the stream may still be at.
  struct Passing {
    std::shared_ptr<Turn> turn;
    Status outcome;
    Deadline deadline;
  };
  using Lock = std::unique_lock<std::mutex>;

  Status begin(int ordinal);
  Status open_gpu(int ordinal);
  Status mark(Turn& turn) const;
  void on_agreed(const std::shared_ptr<Turn>& turn, const Status& outcome);
  void run();
  void carry_out(const std::shared_ptr<Turn>& turn);
  Status carry_out_on_gpu(const std::shared_ptr<Turn>& turn);
  Status carry_out_on_host(Turn& turn);
  Status copy(const std::vector<DeviceCopy>& copies) const;
  void give_up(const Status& failure);
  void will_end_behind();
  void end_behind(const std::shared_ptr<Turn>& turn, const Status& outcome);
  bool look(Passing& one) const;
  Result<DeviceGroup*> group();
  Status meet();
  DeviceGroup* take_leave();
  void wait_until_idle(std::chrono::milliseconds timeout);
  Status explained(const Status& outcome) const;

  const std::shared_ptr<KeyedCommunicator> order_;
  const std::chrono::milliseconds timeout_;
  const Maker make_;

  std::atomic<bool> is_leaving_{false};

  std::mutex begin_mutex_;
  // Set under that lock by the first collective, and then stay.
  std::shared_ptr<cuda::Gpu> gpu_;
  std::unique_ptr<HostDetour> detour_;
  cuda::Stream stream_ = nullptr;

  Status failure_;  ///< the thread's: what every later turn ends with

  mutable std::mutex group_mutex_;  ///< guards the next two
  std::unique_ptr<DeviceGroup> group_;
  bool has_left_ = false;

  std::mutex mutex_;  ///< guards the rest
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Turn>> turns_;  ///< in the order that all ranks have
  std::vector<Passing> ended_;               ///< which the thread has not seen yet
  std::size_t ending_ = 0;  ///< turns that `end_behind` is, or was, to be called for
  bool carrying_ = false;   ///< the thread is at a turn
  bool running_ = false;    ///< there is a thread
  std::thread thread_;
  bool stopping_ = false;  ///< it ends when it has nothing to do
};

}  // namespace smddp
