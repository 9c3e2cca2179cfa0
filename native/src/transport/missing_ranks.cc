#include "transport/missing_ranks.h"

#include "base/rank_label.h"

namespace smddp {

Status missing_ranks_status(const std::vector<Rank>& labels,
                            const std::vector<MissingRank>& missing) {
  std::string text = "gave up waiting for the connection to ";
  bool first = true;
  for (const MissingRank& one : missing) {
    text += (first ? "rank " : ", rank ") + std::to_string(label_of(labels, one.rank));
    if (!one.why.empty()) text += " (" + one.why + ")";
    first = false;
  }
  return {StatusCode::kTimeout, text};
}

}  // namespace smddp
