#pragma once

#include <condition_variable>
#include <mutex>

#include "smddp/store.h"

#include "bootstrap/key_values.h"

namespace smddp {

/// The store of ranks that are threads of one process, and of a world of one.
class MemoryStore final : public Store {
 public:
  Status set(const std::string& key, const std::string& value, Deadline deadline) override;
  Result<std::string> get(const std::string& key, Deadline deadline) override;
  Result<std::int64_t> add(const std::string& key, std::int64_t delta, Deadline deadline) override;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  KeyValues values_;
};

}  // namespace smddp
