#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "smddp/status.h"
#include "smddp/types.h"

#include "base/signature.h"

namespace smddp {

/// What ranks of different hosts tell each other outside of operations. Inside a host the board
/// does it.
struct Notice {
  enum class Kind : std::uint8_t { kStarted, kLeft, kFinished, kFault };
  Kind kind = Kind::kStarted;
  Signature signature;                ///< kStarted
  Rank waits_for = 0;                 ///< kStarted: who holds the sender up
  std::uint64_t operations = 0;       ///< kLeft: how many it took part in; kFault: in which
  StatusCode code = StatusCode::kOk;  ///< kFault
  std::string text;                   ///< kFault; kLeft: parting words
};

std::string encode(const Notice& notice);
/// Nothing when the bytes are no notice.
std::optional<Notice> decode(std::span<const std::byte> bytes);

}  // namespace smddp
