#pragma once

#include <string>
#include <vector>

#include "smddp/deadline.h"
#include "smddp/status.h"
#include "smddp/store.h"

#include "bootstrap/identity.h"

namespace smddp {

struct Introduction {
  RankInfo mine{};
  int world = 1;
  std::vector<Rank> labels{};  ///< what messages call the ranks; empty: their numbers
  std::string job_secret{};    ///< SMDDP_JOB_SECRET; empty = rank 0 makes one up
  std::string settings{};      ///< lines "NAME=value": what all ranks must have set alike
};

struct Roster {
  std::vector<RankInfo> ranks{};  ///< by rank
  std::string secret{};           ///< what the ranks' connections are authenticated with
};

/// Tells every rank about all others, through keys of `store` that nobody has used before (see
/// PrefixStore). All ranks call it; two round trips after the last one has come.
///
/// Either all ranks get the same roster, or all get the same failure: kTimeout names the ranks
/// that did not join; kConfig: the ranks disagree about the world, the secret or smddp's
/// version. Alone with a failure are a rank that lost the store, and the process whose rank
/// another one has taken (kConfig).
Result<Roster> exchange(Store& store, const Introduction& introduction, Deadline deadline);

}  // namespace smddp
