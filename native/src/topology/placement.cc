#include "topology/placement.h"

#include <algorithm>
#include <unordered_map>

namespace smddp {

Placement::Placement(const std::vector<int>& host_of_rank) {
  host_of_.reserve(host_of_rank.size());
  local_.reserve(host_of_rank.size());
  std::unordered_map<int, int> host_of_label;
  // Walking up the ranks meets each host first at its lowest rank, which is its place in the
  // numbering.
  for (std::size_t rank = 0; rank < host_of_rank.size(); ++rank) {
    const auto [entry, is_new] = host_of_label.try_emplace(host_of_rank[rank], hosts());
    if (is_new) ranks_.emplace_back();
    std::vector<Rank>& neighbours = ranks_[static_cast<std::size_t>(entry->second)];
    host_of_.push_back(entry->second);
    local_.push_back(static_cast<int>(neighbours.size()));
    neighbours.push_back(static_cast<Rank>(rank));
  }
}

Placement Placement::one_host(int world) {
  return Placement(std::vector<int>(static_cast<std::size_t>(world), 0));
}

int Placement::ranks_on_smallest_host() const {
  std::size_t smallest = host_of_.size();
  for (const std::vector<Rank>& ranks : ranks_) smallest = std::min(smallest, ranks.size());
  return static_cast<int>(smallest);
}

}  // namespace smddp
