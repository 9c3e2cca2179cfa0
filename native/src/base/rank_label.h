#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "smddp/status.h"
#include "smddp/types.h"

namespace smddp {

/// What people call a member of a group: its number in the whole job. Empty labels: the number in
/// the group.
inline Rank label_of(const std::vector<Rank>& labels, Rank rank) {
  const auto index = static_cast<std::size_t>(rank);
  return index < labels.size() ? labels[index] : rank;
}

/// What went wrong at this rank alone, and does not say so; ok stays ok.
inline Status told_by(Rank label, const Status& outcome) {
  if (outcome.ok()) return outcome;
  return {outcome.code(), "rank " + std::to_string(label) + ": " + outcome.message()};
}

}  // namespace smddp
