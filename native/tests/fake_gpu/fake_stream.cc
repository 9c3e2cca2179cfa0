// Streams and captures of the pretended driver.

#include <algorithm>
#include <cstdint>
#include <thread>
#include <utility>

#include "driver_state.h"

namespace fake_gpu {
namespace {

constexpr int kModeGlobal = 0;
constexpr int kModeRelaxed = 2;

thread_local int capture_mode = kModeGlobal;
thread_local bool inside_host_function = false;

bool capturing(const Stream& stream) {
  const std::scoped_lock lock(known().mutex);
  return stream.capture != nullptr;
}

/// Whether the stream where the capture began is behind all work of the others.
bool joined(Capture& capture) {
  Clock& end = capture.clocks[capture.stream];
  return std::all_of(capture.clocks.begin(), capture.clocks.end(), [&](const auto& other) {
    const auto own = other.second.find(other.first);
    return own == other.second.end() || end[other.first] >= own->second;
  });
}

void end_capture(Capture& capture) {
  capture.active = false;
  std::erase_if(known().captures, [&](const auto& other) { return other.get() == &capture; });
  for (auto& [handle, stream] : known().streams)
    if (stream->capture.get() == &capture) stream->capture = nullptr;
}

}  // namespace

Known& known() {
  static Known& object = *new Known;
  return object;
}

InsideHostFunction::InsideHostFunction() { inside_host_function = true; }
InsideHostFunction::~InsideHostFunction() { inside_host_function = false; }

int refused() { return inside_host_function ? kNotPermitted : kSuccess; }

int refused_in_capture() {
  if (inside_host_function) return kNotPermitted;
  if (capture_mode == kModeRelaxed) return kSuccess;
  const std::scoped_lock lock(known().mutex);
  for (const auto& capture : known().captures) {
    const bool own = capture->thread == std::this_thread::get_id();
    if (own ? capture->mode != kModeRelaxed
            : capture_mode == kModeGlobal && capture->mode == kModeGlobal)
      return kCaptureUnsupported;
  }
  return kSuccess;
}

int find(void* handle, std::shared_ptr<Stream>& stream) {
  if (const int error = refused(); error != kSuccess) return error;
  // 1 and 2 are the driver's names for null streams of two kinds.
  if (reinterpret_cast<std::uintptr_t>(handle) <= 2) {
    stream = null_stream();
    return kSuccess;
  }
  const std::scoped_lock lock(known().mutex);
  const auto found = known().streams.find(handle);
  if (found == known().streams.end()) return kInvalidHandle;
  stream = found->second;
  return kSuccess;
}

int find(void* handle, std::shared_ptr<Event>& event) {
  if (const int error = refused(); error != kSuccess) return error;
  const std::scoped_lock lock(known().mutex);
  const auto found = known().events.find(handle);
  if (found == known().events.end()) return kInvalidHandle;
  event = found->second;
  return kSuccess;
}

/// Makes the call now, or writes it down when the stream is being captured.
void make_or_record(const Stream& stream, Work call) {
  {
    const std::scoped_lock lock(known().mutex);
    if (stream.capture) {
      stream.capture->calls.push_back(std::move(call));
      return;
    }
  }
  call();
}

}  // namespace fake_gpu

std::vector<std::shared_ptr<fake_gpu::Stream>> fake_gpu::all_streams() {
  const std::scoped_lock lock(known().mutex);
  std::vector<std::shared_ptr<Stream>> all;
  for (const auto& [handle, stream] : known().streams) all.push_back(stream);
  return all;
}

using namespace fake_gpu;

/// Blocks the stream, behind the work that it has, until fake_cuda_release.
FAKE_EXPORT int fake_cuda_hold(void* handle) {
  std::shared_ptr<Stream> stream;
  if (const int error = find(handle, stream); error != kSuccess) return error;
  stream->shut_gate();
  return kSuccess;
}

/// The next kernel that the stream is given does not end until fake_cuda_release.
FAKE_EXPORT int fake_cuda_hold_kernel(void* handle) {
  std::shared_ptr<Stream> stream;
  if (const int error = find(handle, stream); error != kSuccess) return error;
  stream->holds_kernel = true;
  return kSuccess;
}

/// Ends the oldest hold of the stream.
FAKE_EXPORT int fake_cuda_release(void* handle) {
  std::shared_ptr<Stream> stream;
  if (const int error = find(handle, stream); error != kSuccess) return error;
  return stream->open_gate() ? kSuccess : kInvalidValue;
}

/// From now on whoever gives a stream more than so many pieces of work waits; 0: nobody does.
FAKE_EXPORT int fake_cuda_limit_queues(std::size_t most) {
  Stream::most_queued = most;
  return kSuccess;
}

/// Queues again what the last capture of the stream recorded, for all streams that took part.
FAKE_EXPORT int fake_cuda_replay(void* handle) {
  std::shared_ptr<Stream> stream;
  if (const int error = find(handle, stream); error != kSuccess) return error;
  std::shared_ptr<Capture> capture;
  {
    const std::scoped_lock lock(known().mutex);
    capture = stream->last_capture;
  }
  if (!capture) return kInvalidValue;
  for (const Work& call : capture->calls) call();
  return kSuccess;
}

/// Calls `function` once when the stream gets there; it may use the driver. In a capture it is
/// never called: what it would free, replays need.
FAKE_EXPORT int fake_cuda_after(void* handle, void (*function)(void*), void* data) {
  std::shared_ptr<Stream> stream;
  if (const int error = find(handle, stream); error != kSuccess) return error;
  if (!capturing(*stream)) stream->push([=] { function(data); });
  return kSuccess;
}

FAKE_EXPORT int cuStreamCreateWithPriority(void** stream, unsigned /*flags*/, int /*priority*/) {
  note(__func__);
  if (fails_for_test(__func__)) return kOutOfMemory;
  if (const int error = refused(); error != kSuccess) return error;
  if (current_device() < 0) return kInvalidContext;
  auto created = Stream::start(current_device());
  *stream = created.get();
  const std::scoped_lock lock(known().mutex);
  known().streams.emplace(created.get(), std::move(created));
  return kSuccess;
}

FAKE_EXPORT int cuStreamDestroy_v2(void* handle) {
  note(__func__);
  const std::scoped_lock lock(known().mutex);
  const auto found = known().streams.find(handle);
  if (found == known().streams.end()) return kInvalidHandle;
  found->second->close();
  known().streams.erase(found);
  return kSuccess;
}

FAKE_EXPORT int cuStreamSynchronize(void* handle) {
  note(__func__);
  std::shared_ptr<Stream> stream;
  if (const int error = find(handle, stream); error != kSuccess) return error;
  if (capturing(*stream)) return kCaptureUnsupported;
  stream->drain();
  return kSuccess;
}

FAKE_EXPORT int cuStreamQuery(void* handle) {
  note(__func__);
  std::shared_ptr<Stream> stream;
  if (const int error = find(handle, stream); error != kSuccess) return error;
  if (capturing(*stream)) return kCaptureUnsupported;
  return stream->idle() ? kSuccess : kNotReady;
}

FAKE_EXPORT int cuCtxSynchronize() {
  note(__func__);
  if (const int error = refused_in_capture(); error != kSuccess) return error;
  if (current_device() < 0) return kInvalidContext;
  std::vector<std::shared_ptr<Stream>> streams{null_stream()};
  {
    const std::scoped_lock lock(known().mutex);
    for (const auto& [handle, stream] : known().streams)
      if (stream->device() == current_device()) streams.push_back(stream);
  }
  for (const auto& stream : streams) stream->drain();
  return kSuccess;
}

/// 0: no; 1: yes.
FAKE_EXPORT int cuStreamIsCapturing(void* handle, int* status) {
  note(__func__);
  std::shared_ptr<Stream> stream;
  if (const int error = find(handle, stream); error != kSuccess) return error;
  *status = capturing(*stream) ? 1 : 0;
  return kSuccess;
}

FAKE_EXPORT int cuThreadExchangeStreamCaptureMode(int* mode) {
  note(__func__);
  std::swap(*mode, capture_mode);
  return kSuccess;
}

FAKE_EXPORT int cuStreamBeginCapture_v2(void* handle, int mode) {
  note(__func__);
  std::shared_ptr<Stream> stream;
  if (const int error = find(handle, stream); error != kSuccess) return error;
  const std::scoped_lock lock(known().mutex);
  // A null stream cannot be captured.
  if (!known().streams.contains(stream.get())) return kCaptureUnsupported;
  if (stream->capture) return kInvalidValue;
  stream->capture =
      std::make_shared<Capture>(Capture{mode, std::this_thread::get_id(), stream.get()});
  known().captures.push_back(stream->capture);
  return kSuccess;
}

/// The graph is only a name here; fake_cuda_replay runs it.
FAKE_EXPORT int cuStreamEndCapture(void* handle, void** graph) {
  note(__func__);
  std::shared_ptr<Stream> stream;
  if (const int error = find(handle, stream); error != kSuccess) return error;
  const std::scoped_lock lock(known().mutex);
  const auto capture = stream->capture;
  if (!capture || capture->stream != stream.get()) return kCaptureUnmatched;
  end_capture(*capture);
  if (!joined(*capture)) return kCaptureUnjoined;
  stream->last_capture = capture;
  *graph = capture.get();
  return kSuccess;
}
