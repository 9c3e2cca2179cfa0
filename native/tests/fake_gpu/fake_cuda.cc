// Work and events of the pretended driver.

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <span>
#include <thread>
#include <utility>

#include "driver_state.h"

namespace fake_gpu {
namespace {

int copy(void* target, const void* source, std::size_t bytes, void* stream) {
  if (bytes == 0) return kSuccess;
  return submit(stream, [=] { std::memmove(target, source, bytes); });
}

void record_now(const std::shared_ptr<Event>& event, Stream& stream) {
  const auto moment = std::make_shared<Moment>();
  {
    const std::scoped_lock lock(known().mutex);
    event->latest = moment;
    event->capture = nullptr;
  }
  stream.push([moment] { moment->happen(); });
}

void wait_now(const std::shared_ptr<Event>& event, Stream& stream) {
  std::shared_ptr<Moment> moment;
  {
    const std::scoped_lock lock(known().mutex);
    moment = event->latest;
  }
  if (moment) stream.push([moment] { moment->wait(); });
}

/// A wait for an event of a capture makes the stream part of that capture. Waits may not cross its
/// border, unless they are marked as external.
int join_capture(Stream& stream, const Event& event, bool external) {
  const std::scoped_lock lock(known().mutex);
  if (!event.capture)
    return stream.capture && event.latest && !external ? kCaptureIsolation : kSuccess;
  if (!event.capture->active) return kCapturedEvent;
  if (!known().streams.contains(&stream)) return kCaptureImplicit;  // a null stream
  if (stream.capture && stream.capture != event.capture) return kCaptureMerge;
  stream.capture = event.capture;
  Clock& clock = stream.capture->clocks[&stream];
  for (const auto& [other, work] : event.clock) clock[other] = std::max(clock[other], work);
  return kSuccess;
}

/// Whether the latest record has happened; 0 or an error number.
int finished(const std::shared_ptr<Event>& event, std::shared_ptr<Moment>& moment) {
  const std::scoped_lock lock(known().mutex);
  if (event->capture) return kCapturedEvent;
  moment = event->latest;
  return !moment || moment->happened() ? kSuccess : kNotReady;
}

bool holds(std::uint32_t now, std::uint32_t value, unsigned condition) {
  if (condition == 0) return static_cast<std::int32_t>(now - value) >= 0;
  if (condition == 1) return now == value;
  if (condition == 2) return (now & value) != 0;
  return ~(now | value) != 0;
}

void poll(std::uint32_t* word, std::uint32_t value, unsigned condition) {
  const std::atomic_ref<std::uint32_t> shared(*word);
  for (int turn = 0; !holds(shared.load(std::memory_order_acquire), value, condition); ++turn) {
    if (turn < 50)
      std::this_thread::yield();
    else
      std::this_thread::sleep_for(std::chrono::microseconds{20});
  }
}

/// Waits for what the stream was given, unless it is captured.
int finish(void* handle) {
  std::shared_ptr<Stream> stream;
  if (const int error = find(handle, stream); error != kSuccess) return error;
  {
    const std::scoped_lock lock(known().mutex);
    if (stream->capture) return kSuccess;
  }
  stream->drain();
  return kSuccess;
}

bool is_word(DevicePointer address) {
  return address % 4 == 0 && reachable(reinterpret_cast<void*>(address), 4);
}

}  // namespace

int submit(void* handle, Work work) {
  std::shared_ptr<Stream> stream;
  if (const int error = find(handle, stream); error != kSuccess) return error;
  {
    const std::scoped_lock lock(known().mutex);
    if (stream->capture) ++stream->capture->clocks[stream.get()][stream.get()];
  }
  make_or_record(*stream, [stream, work = std::move(work)] { stream->push(work); });
  return kSuccess;
}

}  // namespace fake_gpu

using namespace fake_gpu;

FAKE_EXPORT int cuMemcpyDtoHAsync_v2(void* target, DevicePointer source, std::size_t bytes,
                                     void* stream) {
  note(__func__);
  const auto* const from = reinterpret_cast<const void*>(source);
  if (bytes != 0 && !reachable(from, bytes)) return kInvalidValue;
  const int error = copy(target, from, bytes, stream);
  // To memory that is not pinned the real one copies before it returns.
  return error != kSuccess || reachable(target, bytes) ? error : finish(stream);
}

FAKE_EXPORT int cuMemcpyHtoDAsync_v2(DevicePointer target, const void* source, std::size_t bytes,
                                     void* stream) {
  note(__func__);
  auto* const to = reinterpret_cast<void*>(target);
  if (bytes != 0 && !reachable(to, bytes)) return kInvalidValue;
  return copy(to, source, bytes, stream);
}

FAKE_EXPORT int cuMemcpyDtoDAsync_v2(DevicePointer target, DevicePointer source, std::size_t bytes,
                                     void* stream) {
  note(__func__);
  if (fails_for_test(__func__)) return kOutOfMemory;
  auto* const to = reinterpret_cast<void*>(target);
  const auto* const from = reinterpret_cast<const void*>(source);
  if (bytes != 0 && (!reachable(to, bytes) || !reachable(from, bytes))) return kInvalidValue;
  return copy(to, from, bytes, stream);
}

FAKE_EXPORT int cuMemsetD8Async(DevicePointer target, unsigned char value, std::size_t bytes,
                                void* stream) {
  note(__func__);
  auto* const to = reinterpret_cast<void*>(target);
  if (bytes == 0) return kSuccess;
  if (!reachable(to, bytes)) return kInvalidValue;
  return submit(stream, [=] { std::memset(to, value, bytes); });
}

FAKE_EXPORT int cuStreamWaitValue32_v2(void* stream, DevicePointer address, std::uint32_t value,
                                       unsigned flags) {
  note(__func__);
  if (flags > 3 || !is_word(address)) return kInvalidValue;
  auto* const word = reinterpret_cast<std::uint32_t*>(address);
  return submit(stream, [=] { poll(word, value, flags); });
}

FAKE_EXPORT int cuStreamWriteValue32_v2(void* stream, DevicePointer address, std::uint32_t value,
                                        unsigned flags) {
  note(__func__);
  if (flags != 0 || !is_word(address)) return kInvalidValue;
  auto* const word = reinterpret_cast<std::uint32_t*>(address);
  return submit(stream, [=] { std::atomic_ref<std::uint32_t>(*word).store(value); });
}

FAKE_EXPORT int cuStreamWriteValue64_v2(void* stream, DevicePointer address, std::uint64_t value,
                                        unsigned flags) {
  note(__func__);
  if (flags != 0 || address % sizeof(value) != 0 || !is_word(address)) return kInvalidValue;
  auto* const word = reinterpret_cast<std::uint64_t*>(address);
  return submit(stream, [=] { std::atomic_ref<std::uint64_t>(*word).store(value); });
}

struct WordStep {
  unsigned kind;
  DevicePointer word;
  std::uint64_t value;
  unsigned flags;
  std::uint64_t reserved[2];
};

FAKE_EXPORT int cuStreamBatchMemOp_v2(void* stream, unsigned count, WordStep* steps,
                                      unsigned flags) {
  note(__func__);
  if (flags != 0 || count == 0 || count > 255) return kInvalidValue;
  for (const WordStep& step : std::span{steps, count}) {
    const auto value = static_cast<std::uint32_t>(step.value);
    int error = kInvalidValue;
    if (step.kind == 1) error = cuStreamWaitValue32_v2(stream, step.word, value, step.flags);
    if (step.kind == 2) error = cuStreamWriteValue32_v2(stream, step.word, value, step.flags);
    if (step.kind == 5) error = cuStreamWriteValue64_v2(stream, step.word, step.value, step.flags);
    if (error != kSuccess) return error;
  }
  return kSuccess;
}

FAKE_EXPORT int cuLaunchHostFunc(void* stream, void (*function)(void*), void* data) {
  note(__func__);
  return submit(stream, [=] {
    const InsideHostFunction inside;
    function(data);
  });
}

FAKE_EXPORT int cuEventCreate(void** event, unsigned /*flags*/) {
  note(__func__);
  if (const int error = refused(); error != kSuccess) return error;
  if (current_device() < 0) return kInvalidContext;
  auto created = std::make_shared<Event>();
  *event = created.get();
  const std::scoped_lock lock(known().mutex);
  known().events.emplace(created.get(), std::move(created));
  return kSuccess;
}

FAKE_EXPORT int cuEventDestroy_v2(void* event) {
  note(__func__);
  const std::scoped_lock lock(known().mutex);
  return known().events.erase(event) == 1 ? kSuccess : kInvalidHandle;
}

FAKE_EXPORT int cuEventRecord(void* event_handle, void* stream_handle) {
  note(__func__);
  std::shared_ptr<Event> event;
  std::shared_ptr<Stream> stream;
  if (const int error = find(event_handle, event); error != kSuccess) return error;
  if (const int error = find(stream_handle, stream); error != kSuccess) return error;
  {
    const std::scoped_lock lock(known().mutex);
    event->capture = stream->capture;
    if (event->capture) event->clock = event->capture->clocks[stream.get()];
  }
  make_or_record(*stream, [event, stream] { record_now(event, *stream); });
  return kSuccess;
}

FAKE_EXPORT int cuStreamWaitEvent(void* stream_handle, void* event_handle, unsigned flags) {
  note(__func__);
  std::shared_ptr<Event> event;
  std::shared_ptr<Stream> stream;
  if (const int error = find(event_handle, event); error != kSuccess) return error;
  if (const int error = find(stream_handle, stream); error != kSuccess) return error;
  if (const int error = join_capture(*stream, *event, flags == 1); error != kSuccess) return error;
  make_or_record(*stream, [event, stream] { wait_now(event, *stream); });
  return kSuccess;
}

FAKE_EXPORT int cuEventQuery(void* handle) {
  note(__func__);
  if (const int error = refused_in_capture(); error != kSuccess) return error;
  std::shared_ptr<Event> event;
  std::shared_ptr<Moment> moment;
  if (const int error = find(handle, event); error != kSuccess) return error;
  return finished(event, moment);
}

FAKE_EXPORT int cuEventSynchronize(void* handle) {
  note(__func__);
  if (const int error = refused_in_capture(); error != kSuccess) return error;
  std::shared_ptr<Event> event;
  std::shared_ptr<Moment> moment;
  if (const int error = find(handle, event); error != kSuccess) return error;
  if (const int error = finished(event, moment); error != kNotReady) return error;
  moment->wait();
  return kSuccess;
}

FAKE_EXPORT int cuEventElapsedTime(float* milliseconds, void* first, void* second) {
  note(__func__);
  std::array<std::shared_ptr<Moment>, 2> moments;
  for (const int place : {0, 1}) {
    std::shared_ptr<Event> event;
    if (const int error = find(place == 0 ? first : second, event); error != kSuccess) return error;
    if (const int error = finished(event, moments.at(place)); error != kSuccess) return error;
    if (!moments.at(place)) return kInvalidHandle;
  }
  const std::chrono::duration<float, std::milli> taken = moments[1]->when() - moments[0]->when();
  *milliseconds = taken.count();
  return kSuccess;
}
