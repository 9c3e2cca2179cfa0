#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "smddp/export.h"
#include "smddp/status.h"
#include "smddp/topology.h"

namespace smddp {

inline constexpr std::size_t kAnySize = ~std::size_t{0};

/// What a plan takes of everything that costs time, along its longest chain. Elements of the call's
/// dtype, of which a wider partial sum counts as several; `wire` is what passes one way through the
/// busiest host's links, `piece` what one of its messages carries.
struct Demand {
  double hops = 0;          ///< messages that wait for each other
  double messages = 0;      ///< sent by the busiest rank
  double wire = 0;          ///< leaves (or reaches) the busiest host
  double piece = 0;         ///< in one message
  double reduced = 0;       ///< read by the busiest rank to add up what came from other hosts
  double native_steps = 0;  ///< inside a host
  double native = 0;        ///< read or written by one rank in native steps
  double segments = 1;      ///< of the vector: what ranks do with one while another is on the wire
};

/// What a byte of messages of at most `bytes` costs on one direction of a host's links.
struct LinkRate {
  std::size_t bytes;
  double seconds_per_byte;

  friend bool operator==(const LinkRate&, const LinkRate&) = default;
};

/// What things take on this machine and between these hosts, in seconds. After the LogGP model
/// (Alexandrov et al., 1995), with a gap per byte that depends on the size: one rate for all sizes
/// is what makes such models wrong.
struct Costs {
  double hop = 30e-6;      ///< from posting an empty message until its receiver goes on
  double message = 16e-6;  ///< a processor is busy with sending and receiving one
  std::vector<LinkRate> link{{kAnySize, 0.8e-9}};  ///< by ascending size
  double reduce = 0.1e-9;                          ///< per byte read
  double native_step = 2e-6;                       ///< inside a host
  double native = 0.2e-9;                          ///< per byte of one rank

  friend bool operator==(const Costs&, const Costs&) = default;
};

/// The costs between the hosts of `topology`: a host sends over the rails that all hosts have, the
/// i-th to the i-th of others, each as fast as the slowest of its number. Where one of these speeds
/// is unknown the default stays.
SMDDP_API Costs costs_between(const Topology& topology);

/// Measured costs by the transport between hosts ("tcp"). Where nobody measured the link it has no
/// rate.
using MeasuredCosts = std::map<std::string, Costs>;

/// The costs of `transport`, where they are known, else `costs_between(topology)`; of which the
/// rates of the link also come if nobody measured those.
SMDDP_API Costs costs_between(const Topology& topology, const MeasuredCosts& measured,
                              const std::string& transport);

/// The canonical bytes: equal exactly for equal values.
SMDDP_API std::string encode(const MeasuredCosts& measured);
/// kInvalidArgument when the bytes are not exactly what `encode` makes, or hold a time or a rate
/// that cannot be.
SMDDP_API Result<MeasuredCosts> decode_costs(std::string_view bytes);

}  // namespace smddp
