#include "bootstrap/key_values.h"

#include <charconv>
#include <utility>

namespace smddp {

Status check_store_limits(const std::string& key, const std::string& value) {
  if (key.size() > kMaxKeyBytes) {
    return {StatusCode::kInvalidArgument,
            "a store key has at most 1024 bytes, not " + std::to_string(key.size())};
  }
  if (value.size() > kMaxValueBytes) {
    return {StatusCode::kInvalidArgument, "the value of store key '" + key + "' has " +
                                              std::to_string(value.size()) +
                                              " bytes; at most 16 MiB are allowed"};
  }
  return {};
}

void KeyValues::set(const std::string& key, std::string value) {
  values_[key] = std::make_shared<const std::string>(std::move(value));
}

KeyValues::Value KeyValues::find(const std::string& key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? nullptr : found->second;
}

Result<std::int64_t> KeyValues::add(const std::string& key, std::int64_t delta) {
  std::int64_t number = 0;
  if (const Value value = find(key)) {
    const char* end = value->data() + value->size();
    const auto [parsed, error] = std::from_chars(value->data(), end, number);
    if (error != std::errc{} || parsed != end) {
      return Status{StatusCode::kInvalidArgument,
                    "the value of store key '" + key + "' is not an integer"};
    }
  }
  if (__builtin_add_overflow(number, delta, &number)) {
    return Status{StatusCode::kInvalidArgument,
                  "the integer at store key '" + key + "' would exceed 64 bits"};
  }
  set(key, std::to_string(number));
  return number;
}

}  // namespace smddp
