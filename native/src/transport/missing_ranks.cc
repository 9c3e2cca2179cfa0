#include "transport/missing_ranks.h"

#include "base/rank_label.h"

namespace smddp {

Status missing_ranks_status(const std::vector<Rank>& labels,
                            const std::vector<MissingRank>& missing) {
  std::string text = "gave up waiting for the connection to ";
  std::vector<Rank> ranks;
  for (const MissingRank& one : missing) {
    text += (ranks.empty() ? "rank " : ", rank ") + std::to_string(label_of(labels, one.rank));
    if (!one.why.empty()) text += " (" + one.why + ")";
    ranks.push_back(one.rank);
  }
  return {StatusCode::kTimeout, text, ranks};
}

}  // namespace smddp
