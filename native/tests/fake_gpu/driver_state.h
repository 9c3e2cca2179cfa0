// What the parts of the pretended driver share.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "stream.h"

#define FAKE_EXPORT extern "C" __attribute__((visibility("default")))

namespace fake_gpu {

/// The driver's numbers for what can go wrong here.
enum Error : int {
  kSuccess = 0,
  kInvalidValue = 1,
  kOutOfMemory = 2,
  kInvalidDevice = 101,
  kInvalidImage = 200,
  kInvalidContext = 201,
  kInvalidHandle = 400,
  kNotFound = 500,
  kNotReady = 600,
  kAlreadyRegistered = 712,
  kNotPermitted = 800,
  kCaptureUnsupported = 900,
  kCaptureMerge = 902,
  kCaptureUnmatched = 903,
  kCaptureUnjoined = 904,
  kCaptureIsolation = 905,
  kCaptureImplicit = 906,
  kCapturedEvent = 907,
};

using DevicePointer = unsigned long long;

constexpr int kMostDevices = 16;

struct Event {
  std::shared_ptr<Moment> latest;    ///< null: never recorded
  std::shared_ptr<Capture> capture;  ///< which wrote the latest record down
  Clock clock;                       ///< of that record
};

/// Streams and events by their handles, and captures that go on.
struct Known {
  std::mutex mutex;  ///< also guards what is in the events, and the captures of streams
  std::map<void*, std::shared_ptr<Stream>> streams;
  std::map<void*, std::shared_ptr<Event>> events;
  std::vector<std::shared_ptr<Capture>> captures;
};

/// Never destroyed: streams still run while the process ends.
[[nodiscard]] Known& known();

/// Host functions of a stream must not call the driver; this marks where one runs.
class InsideHostFunction {
 public:
  InsideHostFunction();
  ~InsideHostFunction();
  InsideHostFunction(const InsideHostFunction&) = delete;
  InsideHostFunction& operator=(const InsideHostFunction&) = delete;
};

/// Counts a call; for fake_cuda_calls.
void note(const char* name);

/// Whether fake_cuda_refuse wants that call to fail.
[[nodiscard]] bool fails_for_test(const char* name);

/// The device of the calling thread's current context, or -1.
[[nodiscard]] int current_device();
/// The null stream of the calling thread's device; of the first device when it has no context.
[[nodiscard]] std::shared_ptr<Stream> null_stream();

/// kNotPermitted inside a host function, where the driver must not be called; else kSuccess.
[[nodiscard]] int refused();
/// Like refused, and kCaptureUnsupported while somebody captures and this thread did not say that
/// it does not mind.
[[nodiscard]] int refused_in_capture();

[[nodiscard]] int find(void* handle, std::shared_ptr<Stream>& stream);
[[nodiscard]] int find(void* handle, std::shared_ptr<Event>& event);

/// Makes the call now, or writes it down when the stream is being captured.
void make_or_record(const Stream& stream, Work call);

[[nodiscard]] std::vector<std::shared_ptr<Stream>> all_streams();

/// Puts work on the stream with that handle.
[[nodiscard]] int submit(void* stream, Work work);

/// Whether the bytes lie in one piece of memory that the device can reach.
[[nodiscard]] bool reachable(const void* start, std::size_t bytes);

}  // namespace fake_gpu
