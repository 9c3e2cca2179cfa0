#pragma once

#include "plan/algorithm.h"

namespace smddp {

// Each is defined in the file of its name, under the folder of its collective.
extern const Algorithm kAllReduceMesh;
extern const Algorithm kAllReduceOneStep;
extern const Algorithm kAllReduceDoubling;
extern const Algorithm kAllReduceHalving;
extern const Algorithm kAllReduceRing;
extern const Algorithm kAllReduceTree;
extern const Algorithm kAllReduceDoubleTree;
extern const Algorithm kReduceScatterMesh;
extern const Algorithm kReduceScatterHalving;
extern const Algorithm kReduceScatterRing;
extern const Algorithm kAllGatherMesh;
extern const Algorithm kAllGatherBruck;
extern const Algorithm kAllGatherRing;
extern const Algorithm kBroadcastMesh;
extern const Algorithm kBroadcastTree;
extern const Algorithm kBroadcastScatterGather;
extern const Algorithm kReduceMesh;
extern const Algorithm kReduceTree;
extern const Algorithm kReduceScatterGather;
extern const Algorithm kBarrierMesh;
extern const Algorithm kBarrierDissemination;
extern const Algorithm kAllToAllMesh;
extern const Algorithm kGatherMesh;
extern const Algorithm kScatterMesh;

}  // namespace smddp
