#pragma once

#include "smddp/status.h"

namespace smddp {

/// A GPU's part in an operation of a communicator: it brings the input to host memory before the
/// engine carries the operation out there, or it does all of it and the engine looks after it, for
/// deadlines, deaths and ranks that call something else. Called by the baton's holder.
class DevicePart {
 public:
  virtual ~DevicePart() = default;
  /// Whether the operation is over when `progress` says ok; else the engine carries it out then.
  virtual bool is_all() const noexcept = 0;
  /// "Again" while the GPU is busy with it. Neither waits nor takes long.
  virtual Status progress() = 0;
  /// The operation has ended, perhaps before it began. Called once; on any thread.
  virtual void end(const Status& outcome) noexcept = 0;
};

}  // namespace smddp
