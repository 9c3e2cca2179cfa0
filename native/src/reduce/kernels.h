#pragma once

#include "reduce/dispatch.h"

namespace smddp::reduce {

// One table per kernels_*.cc. Only those of the target processor's family are compiled.
extern const KernelTable kBaselineKernels;
extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvx512Kernels;

}  // namespace smddp::reduce
