#pragma once

#include <cstddef>
#include <vector>

#include "smddp/types.h"

namespace smddp {

/// What people call a member of a group: its number in the whole job. Empty labels: the number in
/// the group.
inline Rank label_of(const std::vector<Rank>& labels, Rank rank) {
  const auto index = static_cast<std::size_t>(rank);
  return index < labels.size() ? labels[index] : rank;
}

}  // namespace smddp
