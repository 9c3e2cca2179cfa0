#include "engine/group.h"

#include "base/rank_label.h"

namespace smddp {

void LocalBell::ring() noexcept {
  for (std::size_t local = 0; local < peers_.size(); ++local) ring_one(static_cast<int>(local));
}

void LocalBell::ring_one(int local) noexcept {
  const auto& peer = peers_[static_cast<std::size_t>(local)];
  if (peer != nullptr && board_.is_asleep(local)) peer->ring();
}

std::string Group::name_of(Rank rank) const {
  return smddp::name_of(ranks[static_cast<std::size_t>(rank)], labels);
}

std::string Group::describe(Signature operation) const {
  if (operation.root >= 0) operation.root = label_of(labels, operation.root);
  return smddp::describe(operation);
}

}  // namespace smddp
