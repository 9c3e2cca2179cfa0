#pragma once

#include <cstdint>

#include "smddp/request.h"
#include "smddp/types.h"

namespace smddp {

/// What a rank has to know of a collective to take part in it with nothing of its own.
struct Outline {
  Collective collective = Collective::kBarrier;
  DType dtype = DType::kUint8;
  ReduceOp op = ReduceOp::kSum;
  Rank root = 0;
  std::uint64_t count = 0;

  friend bool operator==(const Outline&, const Outline&) = default;
};

Outline outline_of(const Request& request);
/// Whether rank `self` can: in all_reduce, barrier, and the broadcast of another rank.
bool can_stand_in(const Outline& outline, Rank self);
/// Its part of such a collective: values that change no other rank's result, in memory of the
/// request's own.
Request make_stand_in(const Outline& outline);

}  // namespace smddp
