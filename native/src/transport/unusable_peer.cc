#include "transport/unusable_peer.h"

#include <string>

#include "base/rank_label.h"

namespace smddp {

Status unusable_peer(bool abandoned, const std::vector<Rank>& labels, Rank peer) {
  if (abandoned)
    return {StatusCode::kState, "the communicator has failed; its transport sends only notices"};
  return {StatusCode::kInvalidArgument,
          "rank " + std::to_string(label_of(labels, peer)) + " is not connected"};
}

}  // namespace smddp
