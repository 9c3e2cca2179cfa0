#include "transport/missing_ranks.h"

namespace smddp {

Status missing_ranks_status(Rank self, const std::vector<MissingRank>& missing) {
  std::string text = "rank " + std::to_string(self) + " gave up waiting for the connection to ";
  bool first = true;
  for (const MissingRank& one : missing) {
    text += (first ? "rank " : ", rank ") + std::to_string(one.rank);
    if (!one.why.empty()) text += " (" + one.why + ")";
    first = false;
  }
  return {StatusCode::kTimeout, text};
}

}  // namespace smddp
