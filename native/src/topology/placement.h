#pragma once

#include <vector>

#include "smddp/types.h"

namespace smddp {

/// Which ranks share a host. Hosts are numbered in the order of their lowest rank; local ranks
/// ascend with the rank. A value: equal inputs give equal placements on every rank.
class Placement {
 public:
  /// `host_of_rank[r]` is any label that is equal for ranks on the same host.
  explicit Placement(const std::vector<int>& host_of_rank);
  static Placement one_host(int world);

  int world() const noexcept { return static_cast<int>(host_of_.size()); }
  int hosts() const noexcept { return static_cast<int>(ranks_.size()); }
  int host_of(Rank rank) const { return host_of_[static_cast<std::size_t>(rank)]; }
  int local_rank(Rank rank) const { return local_[static_cast<std::size_t>(rank)]; }
  const std::vector<Rank>& ranks_on(int host) const {
    return ranks_[static_cast<std::size_t>(host)];
  }
  int ranks_on_smallest_host() const;

  friend bool operator==(const Placement&, const Placement&) = default;

 private:
  std::vector<int> host_of_;
  std::vector<int> local_;
  std::vector<std::vector<Rank>> ranks_;
};

}  // namespace smddp
