#include "engine/group.h"

#include "base/rank_label.h"

namespace smddp {

void LocalBell::ring() noexcept {
  for (std::size_t local = 0; local < peers_.size(); ++local) {
    if (peers_[local] != nullptr && board_.is_asleep(static_cast<int>(local)))
      peers_[local]->ring();
  }
}

std::string Group::name_of(Rank rank) const {
  const RankInfo& info = ranks[static_cast<std::size_t>(rank)];
  return "rank " + std::to_string(label_of(labels, rank)) + " (" + info.host_name + ", pid " +
         std::to_string(info.pid) + ")";
}

}  // namespace smddp
