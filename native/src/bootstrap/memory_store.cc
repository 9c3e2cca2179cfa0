#include "bootstrap/memory_store.h"

#include <chrono>

namespace smddp {

Status MemoryStore::set(const std::string& key, const std::string& value, Deadline /*deadline*/) {
  SMDDP_RETURN_IF_ERROR(check_store_limits(key, value));
  const std::lock_guard lock(mutex_);
  values_.set(key, value);
  changed_.notify_all();
  return {};
}

Result<std::string> MemoryStore::get(const std::string& key, Deadline deadline) {
  SMDDP_RETURN_IF_ERROR(check_store_limits(key, {}));
  std::unique_lock lock(mutex_);
  for (;;) {
    if (const auto value = values_.find(key)) return *value;
    if (deadline.passed()) {
      return Status{StatusCode::kTimeout, "store key '" + key + "' was not set in time"};
    }
    changed_.wait_for(lock, deadline.remaining(std::chrono::seconds{3600}));
  }
}

Result<std::int64_t> MemoryStore::add(const std::string& key, std::int64_t delta,
                                      Deadline /*deadline*/) {
  SMDDP_RETURN_IF_ERROR(check_store_limits(key, {}));
  const std::lock_guard lock(mutex_);
  auto sum = values_.add(key, delta);
  changed_.notify_all();
  return sum;
}

}  // namespace smddp
