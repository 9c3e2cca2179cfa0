#include "plan/algorithms/list.h"

#include <array>

namespace smddp {

std::span<const Algorithm* const> algorithms() {
  static constexpr std::array kAlgorithms{
      &kAllReduceMesh,        &kAllReduceOneStep,  &kAllReduceDoubling,   &kAllReduceHalving,
      &kAllReduceRing,        &kAllReduceTree,     &kAllReduceDoubleTree, &kReduceScatterMesh,
      &kReduceScatterHalving, &kReduceScatterRing, &kAllGatherMesh,       &kAllGatherBruck,
      &kAllGatherRing,        &kBroadcastMesh,     &kBroadcastTree,       &kBroadcastScatterGather,
      &kReduceMesh,           &kReduceTree,        &kReduceScatterGather, &kBarrierMesh,
      &kBarrierDissemination, &kAllToAllMesh,      &kGatherMesh,          &kScatterMesh,
  };
  return kAlgorithms;
}

const Algorithm* find_algorithm(Collective collective, std::string_view name) {
  for (const Algorithm* algorithm : algorithms()) {
    if (algorithm->collective == collective && algorithm->name == name) return algorithm;
  }
  return nullptr;
}

}  // namespace smddp
