#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include "smddp/status.h"

namespace smddp {

inline constexpr std::size_t kMaxKeyBytes = 1024;
inline constexpr std::size_t kMaxValueBytes = std::size_t{16} << 20;

/// kInvalidArgument when one of them is too long for our stores.
Status check_store_limits(const std::string& key, const std::string& value);

/// What our stores hold. Not thread-safe. Values are shared because one is often sent
/// to every rank at once.
class KeyValues {
 public:
  using Value = std::shared_ptr<const std::string>;

  void set(const std::string& key, std::string value);
  /// Null when absent.
  Value find(const std::string& key) const;
  /// The sum, which is stored as decimal text like the stores of other frameworks do.
  /// kInvalidArgument when the value is no integer or the sum does not fit.
  Result<std::int64_t> add(const std::string& key, std::int64_t delta);

 private:
  std::unordered_map<std::string, Value> values_;
};

}  // namespace smddp
