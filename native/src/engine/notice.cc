#include "engine/notice.h"

#include <cstring>

namespace smddp {
namespace {

constexpr std::size_t kMaxText = 1900;

template <typename T>
void append(std::string& bytes, const T& value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

template <typename T>
bool take(std::span<const std::byte>& bytes, T& value) {
  if (bytes.size() < sizeof(value)) return false;
  std::memcpy(&value, bytes.data(), sizeof(value));
  bytes = bytes.subspan(sizeof(value));
  return true;
}

}  // namespace

std::string encode(const Notice& notice) {
  std::string bytes;
  append(bytes, notice.kind);
  append(bytes, notice.signature);
  append(bytes, notice.waits_for);
  append(bytes, notice.operations);
  append(bytes, notice.code);
  bytes += notice.text.substr(0, kMaxText);
  return bytes;
}

std::optional<Notice> decode(std::span<const std::byte> bytes) {
  Notice notice;
  const bool complete = take(bytes, notice.kind) && take(bytes, notice.signature) &&
                        take(bytes, notice.waits_for) && take(bytes, notice.operations) &&
                        take(bytes, notice.code);
  if (!complete || notice.kind > Notice::Kind::kFault) return std::nullopt;
  const bool is_failure = notice.code != StatusCode::kOk && notice.code != StatusCode::kAgain &&
                          notice.code <= StatusCode::kSystem;
  if (notice.kind == Notice::Kind::kFault && !is_failure) return std::nullopt;
  notice.text.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return notice;
}

}  // namespace smddp
