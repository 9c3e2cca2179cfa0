#pragma once

#include <rdma/fabric.h>

#include <cstdint>
#include <optional>

#include "base/completion.h"

namespace smddp {

class Channel;

enum class OperationKind : unsigned char { kReceive, kSend, kWrite, kTaggedReceive };

/// What libfabric is asked to do and reports back by address, so it stays where it is meanwhile.
struct Operation {
  fi_context2 context{};  ///< first, because it is what libfabric gives back; its own to use
  OperationKind kind = OperationKind::kReceive;
  std::uint32_t number = 0;    ///< of the buffer, or of the long message
  Channel* channel = nullptr;  ///< null for buffers that any peer may fill
  std::optional<Token> token;  ///< of the short message that it sends
};

}  // namespace smddp
