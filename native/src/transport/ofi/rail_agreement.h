#pragma once

#include <cstddef>
#include <cstdint>

#include "smddp/deadline.h"

#include "transport/ofi/link.h"
#include "transport/transport.h"

namespace smddp {

/// Finds out, when two ranks meet, which rails lead from one to the other: the lower rank greets
/// the higher one over each, the higher one answers over the same, and the lower one says over the
/// connection which have answered. The first has to; others are left out that have not after a
/// while.
///
/// Providers make the way to a peer with the first message, and need both sides for that, so later
/// would be too late: only one may be here then.
class RailAgreement {
 public:
  RailAgreement(Link& link, Transport& control) : link_(link), control_(control) {}

  /// A greeting has come over this rail.
  void on_greeting(std::size_t rail);
  /// The lower rank has said which rails there are, as a set of bits.
  void on_rails(std::uint64_t rails);
  /// Says what is due; true once both sides agree.
  bool step();

 private:
  bool asks() const noexcept { return link_.self() < link_.peer(); }
  bool is_due(std::size_t rail) const noexcept;
  bool is_decided() const;

  Link& link_;
  Transport& control_;
  std::uint64_t greeted_ = 0;  ///< the rails over which this rank has
  std::uint64_t heard_ = 0;    ///< the peer
  Deadline::Clock::time_point first_heard_{};
  bool agreed_ = false;
};

}  // namespace smddp
