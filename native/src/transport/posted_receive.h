#pragma once

#include <cstddef>
#include <cstdint>

#include "base/completion.h"
#include "base/signature.h"
#include "transport/transport.h"

namespace smddp {

/// A receive that waits for its message; what `RecvDesc` lends for the call is copied.
struct PostedReceive {
  PostedReceive() = default;
  PostedReceive(const RecvDesc& recv, Token its_token)
      : data(recv.data),
        bytes(recv.bytes),
        tag(recv.tag),
        envelope(*recv.envelope),
        token(its_token) {}

  std::byte* data = nullptr;
  std::size_t bytes = 0;
  std::uint64_t tag = 0;
  Envelope envelope{};
  Token token = 0;

  bool matches(std::size_t their_bytes, std::uint64_t their_tag, const Envelope& theirs) const {
    return bytes == their_bytes && tag == their_tag && envelope == theirs;
  }
};

}  // namespace smddp
