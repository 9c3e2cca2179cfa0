#pragma once

#include <cstddef>
#include <vector>

#include "smddp/export.h"
#include "smddp/topology.h"

namespace smddp {

inline constexpr std::size_t kAnySize = ~std::size_t{0};

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

}  // namespace smddp
