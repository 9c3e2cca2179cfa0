#pragma once

#include <functional>

namespace smddp {

/// Something of this process may make a stream wait for other ranks, for as long as this lives.
///
/// The driver may wait for all streams when it closes memory of other processes, and let nobody
/// else of this process through meanwhile, who would have to end that wait.
class StreamsWait {
 public:
  /// Waits for a call of `when_no_stream_waits`.
  StreamsWait();
  ~StreamsWait();
  /// As one that lives as long as the process.
  static void for_good();
  StreamsWait(const StreamsWait&) = delete;
  StreamsWait& operator=(const StreamsWait&) = delete;
};

/// Calls it, if there is none of these, and lets none begin meanwhile. Whether it did.
bool when_no_stream_waits(const std::function<void()>& call);

}  // namespace smddp
