#pragma once

#include <cstdint>
#include <string>

#include "smddp/deadline.h"
#include "smddp/status.h"

namespace smddp {

/// Key-value store through which ranks find each other. Values are opaque bytes; all methods may
/// block until the deadline and may be called from any thread. Adapters wrap their framework's
/// store in it.
class Store {
 public:
  virtual ~Store() = default;

  virtual Status set(const std::string& key, const std::string& value, Deadline deadline) = 0;
  /// Waits until the key is there. kTimeout names the key; a deadline that has passed makes it a
  /// probe.
  virtual Result<std::string> get(const std::string& key, Deadline deadline) = 0;
  /// Adds to the integer at `key` (0 when absent) and returns the new value.
  virtual Result<std::int64_t> add(const std::string& key, std::int64_t delta,
                                   Deadline deadline) = 0;
};

}  // namespace smddp
