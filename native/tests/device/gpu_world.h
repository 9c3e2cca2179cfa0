#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "smddp/device_group.h"
#include "smddp/keyed_device_group.h"

#include "provider/cuda/gpu.h"
#include "support/fabric.h"

namespace smddp::test {

/// A stream of the pretended driver, which a test can hold up.
class TestStream {
 public:
  explicit TestStream(int ordinal);
  ~TestStream();
  TestStream(const TestStream&) = delete;
  TestStream& operator=(const TestStream&) = delete;

  DeviceStream get() const { return stream_; }
  /// What it is given from now on waits for `release`.
  void hold();
  /// The next kernel that it is given does not end before `release`.
  void hold_kernel();
  void release();
  bool is_done() const;
  /// Waits until all that it was given is done; throws when that takes too long.
  void finish() const;
  void begin_capture();
  void end_capture();
  /// Does again what was captured.
  void replay();

 private:
  const int ordinal_;
  DeviceStream stream_ = nullptr;
};

/// Memory of the pretended GPU, which is the host's, so that a test can look at it.
class TestMemory {
 public:
  TestMemory(int ordinal, std::vector<float> values);
  ~TestMemory();
  TestMemory(TestMemory&& other) noexcept
      : ordinal_(other.ordinal_),
        count_(other.count_),
        data_(std::exchange(other.data_, nullptr)) {}
  TestMemory(const TestMemory&) = delete;
  TestMemory& operator=(const TestMemory&) = delete;

  float* data() const { return data_; }
  std::size_t size() const { return count_; }
  std::vector<float> values() const { return {data_, data_ + count_}; }

 private:
  const int ordinal_;
  const std::size_t count_;
  float* data_;
};

/// Lets the pretended GPU reach what a request on host memory refers to.
class Reached {
 public:
  Reached(const Request& request, Rank rank, int world);
  ~Reached();
  Reached(const Reached&) = delete;
  Reached& operator=(const Reached&) = delete;

 private:
  std::vector<std::pair<std::byte*, std::byte*>> ranges_;
};

/// The pretended GPU, in use.
std::shared_ptr<cuda::Gpu> open_gpu(int ordinal);

/// After a failure, streams that wait for other ranks go on with what may be in use: nobody gets a
/// result, and the thread sanitizer would tell of it.
#if defined(__SANITIZE_THREAD__)
inline constexpr bool kSeesRacesAfterFailures = true;
#else
inline constexpr bool kSeesRacesAfterFailures = false;
#endif

/// What can go wrong: see fake_cuda_limit_queues and fake_cuda_refuse.
void limit_queues(std::size_t most);
void refuse(const char* function, int times);
/// How often this process has called a function of the driver.
long calls_of(const char* function);

/// A rank's members of a group: for messages, and on its GPU.
struct GpuMember {
  int gpu;  ///< its number
  std::shared_ptr<Communicator> messages;
  std::unique_ptr<DeviceGroup> group;
};

/// `collectives`: SMDDP_GPU_COLLECTIVES. With "ipc" all ranks share a GPU, as our kernels serve no
/// process that has several; else each has the one with its number.
GpuMember join_gpus(const World& world, Rank rank, const std::string& collectives,
                    const std::function<void(Config&)>& adjust = {});
/// The same on the GPU with that number.
GpuMember join_gpu(int gpu, const World& world, Rank rank, const std::string& collectives,
                   const std::function<void(Config&)>& adjust = {});

/// A rank's members of a group whose ranks submit in orders of their own.
struct KeyedGpuMember {
  int gpu;
  std::shared_ptr<KeyedCommunicator> order;
  std::unique_ptr<KeyedDeviceGroup> group;
};

KeyedGpuMember join_gpus_keyed(const World& world, Rank rank, const std::string& collectives);

void expect(bool condition, const std::string& what);

}  // namespace smddp::test
