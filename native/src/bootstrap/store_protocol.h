#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "bootstrap/key_values.h"

namespace smddp {

// What StoreClient and StoreServer say to each other after the authentication: frames of a 32 bit
// length and a payload (base/socket.h). One request is answered by one frame, and only then the
// next request may come. A client that no longer wants an answer closes its connection.

inline constexpr std::string_view kStoreContext = "smddp store 1";
inline constexpr std::size_t kFrameHeaderBytes = 4;
/// A value, a key and the fields around them.
inline constexpr std::size_t kMaxStoreFrame = kMaxValueBytes + kMaxKeyBytes + 64;

enum class StoreOp : std::uint8_t {
  kSet,
  kGet,    ///< answered when the key is there
  kProbe,  ///< answered at once
  kAdd,
};

struct StoreRequest {
  StoreOp op = StoreOp::kProbe;
  std::string key{};
  std::string value{};     ///< kSet
  std::int64_t delta = 0;  ///< kAdd
};

/// First byte of an answer; the rest is the value, the sum as decimal text or the message.
enum class StoreAnswer : std::uint8_t { kOk, kAbsent, kInvalid };

std::string encode_request(const StoreRequest& request);
/// Nothing when the bytes are no request within the limits.
std::optional<StoreRequest> decode_request(std::string_view payload);

}  // namespace smddp
